"""A single-node key-value store with etcd's data model: a small, complete user of assertlib."""
