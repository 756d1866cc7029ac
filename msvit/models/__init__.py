"""Model families; importing this package registers them."""

from msvit.models import ann as ann
from msvit.models import cml as cml
from msvit.models import max_resnet as max_resnet
from msvit.models import maxformer as maxformer
from msvit.models import ms_qkformer as ms_qkformer
from msvit.models import ms_resnet as ms_resnet
from msvit.models import msvit as msvit
from msvit.models import msvit_upload as msvit_upload
from msvit.models import qkformer as qkformer
from msvit.models import resnet19 as resnet19
from msvit.models import sdt as sdt
from msvit.models import sdtv2 as sdtv2
from msvit.models import sdtv3 as sdtv3
from msvit.models import sdtv3_large as sdtv3_large
from msvit.models import sew_resnet as sew_resnet
from msvit.models import spikformer as spikformer
from msvit.models import spikingformer as spikingformer
from msvit.models import spikingresformer as spikingresformer
from msvit.models import statten as statten
