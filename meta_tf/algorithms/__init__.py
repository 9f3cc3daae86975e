"""Meta-learning algorithms, one paper per file, each a frozen dataclass of settings.

Every class imported here is public as `meta_tf.NAME`. The registry of the command line,
`meta_tf/command/registry.py`, has the names for `--algorithm`.
"""

from meta_tf.algorithms.alpaca import ALPaCA as ALPaCA
from meta_tf.algorithms.base import Algorithm as Algorithm
from meta_tf.algorithms.imaml import IMAML as IMAML
from meta_tf.algorithms.in_context import InContext as InContext
from meta_tf.algorithms.inner_loop import InnerLoop as InnerLoop
from meta_tf.algorithms.inner_loop import LoopState as LoopState
from meta_tf.algorithms.logistic_regression import LogisticRegression as LogisticRegression
from meta_tf.algorithms.maml import ANIL as ANIL
from meta_tf.algorithms.maml import BOIL as BOIL
from meta_tf.algorithms.maml import FOMAML as FOMAML
from meta_tf.algorithms.maml import MAML as MAML
from meta_tf.algorithms.maml import MetaSGD as MetaSGD
from meta_tf.algorithms.mamlpp import MAMLPlusPlus as MAMLPlusPlus
from meta_tf.algorithms.matching_net import MatchingNet as MatchingNet
from meta_tf.algorithms.meta_curvature import MetaCurvature as MetaCurvature
from meta_tf.algorithms.protomaml import ProtoMAML as ProtoMAML
from meta_tf.algorithms.protonet import ProtoNet as ProtoNet
from meta_tf.algorithms.r2d2 import R2D2 as R2D2
from meta_tf.algorithms.reptile import Reptile as Reptile
