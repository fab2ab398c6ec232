"""Synthetic satellite images of harbours, with exact labels of the ships."""

from saccade.demo.synthetic.dataset import write_dataset
from saccade.demo.synthetic.scene import Scene, generate_scene
from saccade.demo.synthetic.ship_classes import CLASS_NAMES
from saccade.demo.synthetic.ships import Silhouette

__all__ = ["CLASS_NAMES", "Scene", "Silhouette", "generate_scene", "write_dataset"]
