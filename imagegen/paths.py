"""The folders of the user: state that all runs share, and configuration."""

import os
from pathlib import Path
from typing import Final

import platformdirs

STATE_VARIABLE: Final = "IMAGEGEN_STATE_DIR"


def state_folder() -> Path:
    """Return the folder for what is shared by all runs of this user."""
    folder = os.environ.get(STATE_VARIABLE)
    return Path(folder) if folder else platformdirs.user_state_path("imagegen", appauthor=False)


def user_file() -> Path:
    """Return the path of the user's own keys.toml, whether it exists or not."""
    return platformdirs.user_config_path("imagegen", appauthor=False) / "keys.toml"
