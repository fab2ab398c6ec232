"""Made harbour scenes, seen as from a satellite, with exact labels of the ships in them."""

from saccade.demo.synthetic.dataset import write_dataset
from saccade.demo.synthetic.fleet import CLASS_NAMES
from saccade.demo.synthetic.scene import Scene, make_scene
from saccade.demo.synthetic.ships import Silhouette

__all__ = ["CLASS_NAMES", "Scene", "Silhouette", "make_scene", "write_dataset"]
