//! The way of a reset through the agent.
