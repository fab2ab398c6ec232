"""Made harbour scenes, seen as from a satellite, with exact labels of the ships in them."""

from saccade.app.harbour.dataset import write_dataset
from saccade.app.harbour.fleet import CLASS_NAMES
from saccade.app.harbour.scene import Scene, make_scene
from saccade.app.harbour.ships import Silhouette

__all__ = ["CLASS_NAMES", "Scene", "Silhouette", "make_scene", "write_dataset"]
