"""Wrong calls of decorated functions."""

import flow


@flow.function(gpu="a100")
def train(rate: float) -> int:
    return int(rate)


train.remote("fast")
train.submit()
text: str = train.remote(0.1)
later: str = train.submit(0.1).result()
flow.function(gpus="a100")(train.local)
