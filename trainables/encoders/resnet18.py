"""ResNet-18 from timm, trained from scratch; its pooled features are the global latent (LeWM's encoder ablation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn

STAGES = 4


class Config(Settings):
    """The default is the usual ResNet-18: 512 features, 11,176,512 parameters."""

    name: Literal["resnet18"] = "resnet18"
    width: int = Field(default=64, ge=1, le=1024)  # channels of the first stage; each of the other three doubles them

    @property
    def features(self) -> int:
        """F."""
        return self.width * 2 ** (STAGES - 1)


def build(config: Config, image_size: int) -> nn.Module:
    """A network (N, 3, H, W) -> (N, 1, F) whose BatchNorm is over the global batch; any image side will do."""
    from timm.models.resnet import BasicBlock, ResNet
    from torch import nn

    from trainables.collective import GlobalBatchNorm2d

    channels = tuple(config.width * 2**stage for stage in range(STAGES))
    # Blocks that start at zero, as timm has it, leave shortcuts that see 11 of every 32 px: a small dot is not there.
    usual = {"num_classes": 0, "norm_layer": GlobalBatchNorm2d, "zero_init_last": False}
    resnet = ResNet(BasicBlock, (2,) * STAGES, channels=channels, **usual)
    net = nn.Sequential(resnet, nn.Unflatten(1, (1, -1)))
    net.features, net.patches = config.features, 1
    return net
