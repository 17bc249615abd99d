"""The documented import path of `FEATURES`."""

from mtlgym.envs.training.observations import FEATURES as FEATURES
