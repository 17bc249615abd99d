"""One thread for every test: with tiny models more threads are slower."""

import matplotlib
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
