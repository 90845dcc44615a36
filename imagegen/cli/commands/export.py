"""The group of commands that export the chosen images; each kind is a module of its own."""

from imagegen.cli.commands import export_animatic, export_svg, export_timeline
from imagegen.cli.help import App, examples

app = App(
    name="export",
    help="Export the chosen images for the next steps: SVG, a timeline for an editor, a film.",
    epilog=examples(
        ("imagegen export svg my-video", "my-video/selected_svg/Beat_7.3.svg"),
        ("imagegen export timeline my-video", "for Premiere, Resolve and Final Cut"),
        ("imagegen export animatic my-video", "my-video/animatic.mp4"),
    ),
)
app.command(epilog=export_svg.EPILOG)(export_svg.svg)
app.command(epilog=export_timeline.EPILOG)(export_timeline.timeline)
app.command(epilog=export_animatic.EPILOG)(export_animatic.animatic)
