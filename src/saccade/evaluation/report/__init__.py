"""Evaluation reports: one self-contained HTML page without scripts, readable offline."""

from saccade.evaluation.report.classification import build_classification_report
from saccade.evaluation.report.detection import build_detection_report

__all__ = ["build_classification_report", "build_detection_report"]
