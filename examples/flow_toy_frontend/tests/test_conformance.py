"""What Flow asks of a frontend, asked of this one."""

from flow_core.testing import FrontendContract


class TestToyFrontend(FrontendContract):
    frontend = "toy-script"
    samples = {"train.sh": '#!/bin/sh\n#FLOW name: train\n#FLOW num_instances: 2\necho "rank $TOY_RANK: $*"\n'}
    broken = {"word.sh": "#FLOW nmae: train\n", "yaml.sh": "#FLOW env: {\n", "list.sh": "#FLOW - train\n"}
