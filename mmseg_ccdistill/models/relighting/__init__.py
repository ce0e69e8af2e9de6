"""Networks that change the light of an image before it is segmented."""

from .light_net import LightNet, ResidualBlock

__all__ = ['LightNet', 'ResidualBlock']
