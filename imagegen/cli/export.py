"""The group of commands that export the chosen images; each kind is a module of its own."""

from imagegen.cli.help import App

app = App(
    name="export",
    help="Export the chosen images for the next steps: SVG, a timeline for an editor, a film.",
)
