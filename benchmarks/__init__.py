"""Measurements that anyone can repeat; nothing here is asserted."""
