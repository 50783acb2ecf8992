"""Every message in docs/reference/messages.md is produced here, and no other is in it.

desk.py has the machinery; the other modules are one for each area.
"""
