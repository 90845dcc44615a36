"""The group of commands that export the chosen images; each kind is a module of its own."""

from imagegen.cli import export_timeline
from imagegen.cli.help import App, examples

app = App(
    name="export",
    help="Export the chosen images for the next steps: SVG, a timeline for an editor, a film.",
    epilog=examples(
        ("imagegen export timeline my-video", "for Premiere, Resolve and Final Cut"),
    ),
)
app.command(epilog=export_timeline.EPILOG)(export_timeline.timeline)
