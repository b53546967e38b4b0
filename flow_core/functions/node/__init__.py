"""What runs on the node beside the user's function: Python 3.8+, the standard library, and cloudpickle where it is needed."""
