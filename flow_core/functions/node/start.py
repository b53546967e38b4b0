import sys

if __name__ == "__main__":
    here = sys.path.pop(0)
    sys.path.insert(0, here + "/lib")
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    sys.path.insert(0, here)
    from flow_on_node.main import main  # type: ignore[import-not-found]

    sys.path.remove(here)
    sys.dont_write_bytecode = kept
    sys.exit(main())
