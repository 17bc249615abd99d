"""One thread for every test: with tiny models more threads are slower."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import matplotlib
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
