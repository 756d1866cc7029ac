"""Model families; importing this package registers them."""

from msvit.models import msvit as msvit
