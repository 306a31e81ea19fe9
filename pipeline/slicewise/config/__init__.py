"""The typed configuration of an experiment, read from one complete YAML file."""

from slicewise.config.augmentation_section import AugmentationSection
from slicewise.config.base import Section
from slicewise.config.data_sections import FOLD_KINDS, DataSection, PreprocessingSection
from slicewise.config.extensions import AUGMENTATIONS, LOSSES, NETWORKS, OWN_PACKAGE
from slicewise.config.inference_sections import (
    DicePrediction,
    InferenceSection,
    PostprocessingSection,
    SliceExclusiveSection,
)
from slicewise.config.loading import load_config, parse_config, with_overrides
from slicewise.config.network_options import (
    AttentionUnetOptions,
    DynUNetOptions,
    FlexibleUNetOptions,
    SegResNetOptions,
)
from slicewise.config.overrides import override_value
from slicewise.config.scan_sections import CodedTerm, ReadingSection, StructureSection
from slicewise.config.sections import Config, TrackingSection
from slicewise.config.sweep_sections import ParameterSection, PrunerSection, SweepSection
from slicewise.config.sweep_space import Space, load_space, with_values
from slicewise.config.training_sections import (
    BUDGET_MINUTES,
    UNET,
    NetworkSection,
    RecordedCourse,
    TrainingSection,
)
from slicewise.config.writing import as_yaml, flatten, text_without_places, without_places

__all__ = [
    "AUGMENTATIONS",
    "BUDGET_MINUTES",
    "FOLD_KINDS",
    "LOSSES",
    "NETWORKS",
    "OWN_PACKAGE",
    "UNET",
    "AttentionUnetOptions",
    "AugmentationSection",
    "CodedTerm",
    "Config",
    "DataSection",
    "DicePrediction",
    "DynUNetOptions",
    "FlexibleUNetOptions",
    "InferenceSection",
    "NetworkSection",
    "ParameterSection",
    "PostprocessingSection",
    "PreprocessingSection",
    "PrunerSection",
    "ReadingSection",
    "RecordedCourse",
    "Section",
    "SegResNetOptions",
    "SliceExclusiveSection",
    "Space",
    "StructureSection",
    "SweepSection",
    "TrackingSection",
    "TrainingSection",
    "as_yaml",
    "flatten",
    "load_config",
    "load_space",
    "override_value",
    "parse_config",
    "text_without_places",
    "with_overrides",
    "with_values",
    "without_places",
]
