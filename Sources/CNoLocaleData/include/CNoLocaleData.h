// Nothing: what this target is for is that it is linked.
