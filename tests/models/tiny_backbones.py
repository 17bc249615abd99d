"""Tiny networks that turn images into features, and files of them."""

import json

import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from mtlgym.models.backbone import Backbone

PROCESSOR = {
    "size": {"height": 8, "width": 8},
    "image_mean": [0.5, 0.25, 0.125],
    "image_std": [0.5, 1.0, 2.0],
}


class ChannelMeans(nn.Module):
    """Three features: the means of the channels; counts how many images it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return images.mean(dim=(2, 3))


def means(name="means", side=4, digest="0" * 64):
    """A backbone that does not normalise."""
    return Backbone(name, ChannelMeans(), side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), digest)


def save_vit(folder, pooler=True, seed=0, processor=PROCESSOR):
    """Save a vision transformer there, with its image processor's settings; give it."""
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=8,
        patch_size=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ViTModel(config, add_pooling_layer=pooler).eval()
    return _save(folder, model, processor)


def save_resnet(folder):
    """Save a residual network there; give it."""
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResNetModel(config).eval()
    return _save(folder, model, PROCESSOR)


def _save(folder, model, processor):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


def export(path, module, shape=(2, 3, 8, 8), open_batch=True):
    """Save a module for images of the shape by torch.export."""
    shapes = ({0: torch.export.Dim("n")},) if open_batch else None
    program = torch.export.export(module.eval(), (torch.zeros(shape),), dynamic_shapes=shapes)
    torch.export.save(program, path)


def linear(features=5):
    """The channels' means through a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, features))
