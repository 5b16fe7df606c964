"""The settings of every verb, one model each: what the Python functions, the shell and the widgets all read."""

from hea_vision.jobs.alloys import SampleJob
from hea_vision.jobs.image import ImageJob
from hea_vision.jobs.patterns import ClassifyJob, PatternJob, read_structures
from hea_vision.jobs.segment import MeasureJob, SegmentJob
from hea_vision.jobs.training import TrainSegmenterJob, TrainStrokesJob, TrainXrdJob

__all__ = [
    "ClassifyJob",
    "ImageJob",
    "MeasureJob",
    "PatternJob",
    "SampleJob",
    "SegmentJob",
    "TrainSegmenterJob",
    "TrainStrokesJob",
    "TrainXrdJob",
    "read_structures",
]
