"""What travels to a node: the user's code, chosen as git would, and the document that the runner reads."""

from flow_core.bundle._copy import content_hash, copy, copy_files
from flow_core.bundle._document import build, code_mode, code_root
from flow_core.bundle._select import Selection, select

__all__ = ["Selection", "build", "code_mode", "code_root", "content_hash", "copy", "copy_files", "select"]
