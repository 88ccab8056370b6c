//! Container by cgroup path.
