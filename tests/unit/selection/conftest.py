"""One thread: these networks are too small for more, and the machine is shared."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
