"""Use cases on models: train, evaluate, predict and compare."""

MODEL_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless")
"""Libraries whose versions affect the result of a training or prediction."""
