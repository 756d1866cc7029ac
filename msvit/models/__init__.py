"""Model families; importing this package registers them."""

from msvit.models import msvit as msvit
from msvit.models import qkformer as qkformer
