"""The errors of this project: all derive from one base and carry their data.

Every message reads ``cannot VERB OBJECT: REASON`` and names the remedy where there is
one.  Errors are raised at the cause and printed once, by the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import ClassVar

__all__ = [
    "BuildError",
    "ConflictError",
    "EnvironmentFactsError",
    "JournalError",
    "LockError",
    "LockTimeoutError",
    "ManagedEnvironmentError",
    "NotInstalledError",
    "PackageError",
    "PkgInstallError",
    "RecordError",
    "RequirementError",
    "TransactionError",
    "UsageError",
    "WheelError",
]


class PkgInstallError(Exception):
    """Anything that a user, a wheel or the machine can cause."""

    exit_status: ClassVar[int] = 1


class UsageError(PkgInstallError):
    """The command line, a variable or a settings file asks for something impossible."""

    exit_status = 2


class WheelError(PkgInstallError):
    """A file is no acceptable wheel, or not one for this environment."""

    def __init__(self, wheel: Path, reason: str) -> None:
        name = wheel.name or str(wheel)  # "." has no name
        name = name if name.isprintable() else repr(name)
        super().__init__(f"cannot install {name}: {reason}")
        self.wheel = wheel
        self.reason = reason


class RequirementError(PkgInstallError):
    """A requirement cannot be read, or no wheel of the store meets it.

    The message, which logs of builds keep, too, has no password of its URL.
    """

    def __init__(self, requirement: str, reason: str) -> None:
        told = requirement
        if "@" in told:
            from sage_pkginstall.passwords import without_passwords  # noqa: PLC0415 - rare

            told = without_passwords(told)
        super().__init__(f"cannot meet requirement {told!r}: {reason}")
        self.requirement = requirement
        self.reason = reason


class MalformedRequirementError(RequirementError):
    """What stands for a requirement is none (PEP 508), whatever there is to meet it."""


class BuildError(PkgInstallError):
    """A wheel could not be built from its source."""

    def __init__(self, source: Path, reason: str) -> None:
        super().__init__(f"cannot build {source}: {reason}")
        self.source = source
        self.reason = reason


class EnvironmentFactsError(PkgInstallError):
    """The target interpreter does not tell, or tells what cannot be worked with."""

    def __init__(self, interpreter: Path, reason: str) -> None:
        super().__init__(f"cannot use target interpreter {interpreter}: {reason}")
        self.interpreter = interpreter
        self.reason = reason


class ManagedEnvironmentError(UsageError):
    """The system's package manager owns the environment (PEP 668).

    ``notice`` is what the system has to say about that, in its own words.
    """

    def __init__(self, prefix: Path, notice: str) -> None:
        remedy = (
            "use a virtual environment ('python3 -m venv --without-pip DIRECTORY'), or, at your"
            " own risk, --break-system-packages"
        )
        super().__init__(
            f"cannot change {prefix}: the system manages it (PEP 668); {remedy}\n"
            + "\n".join(f"    {line}".rstrip() for line in notice.splitlines())
        )
        self.prefix = prefix
        self.notice = notice


class RecordError(PkgInstallError):
    """A record (RECORD, stamp) on disk cannot be read or trusted."""

    def __init__(self, record: Path, reason: str) -> None:
        super().__init__(f"cannot read record {record}: {reason}")
        self.record = record
        self.reason = reason


class NotInstalledError(PkgInstallError):
    """Something that was asked for by name is not installed."""

    def __init__(self, name: str, prefix: Path) -> None:
        super().__init__(f"cannot find {name} in {prefix}: it is not installed")
        self.name = name
        self.prefix = prefix


class PackageError(PkgInstallError):
    """A package directory or one of its scripts is at fault."""

    def __init__(self, package: str, reason: str) -> None:
        super().__init__(f"cannot handle package {package}: {reason}")
        self.package = package
        self.reason = reason


class ConflictError(PkgInstallError):
    """A path to be installed belongs to something else, or is of another type.

    ``bringer`` is what brings the path, as far as that is known.
    """

    def __init__(self, path: str, reason: str, bringer: str | None = None) -> None:
        what = f"{path} of {bringer}" if bringer else path
        super().__init__(f"cannot install {what}: {reason}")
        self.path = path
        self.reason = reason
        self.bringer = bringer


class LockError(PkgInstallError):
    """The lock of a tree cannot be taken at all (no flock, no rights, a planted link)."""

    def __init__(self, lock: Path, reason: str) -> None:
        super().__init__(f"cannot lock {lock}: {reason}")
        self.lock = lock
        self.reason = reason


class LockTimeoutError(LockError):
    """Somebody else held the lock for longer than we were to wait."""


class JournalError(PkgInstallError):
    """The journal on disk is damaged or cannot be carried out."""

    def __init__(self, journal: Path, reason: str) -> None:
        super().__init__(f"cannot carry out journal {journal}: {reason}")
        self.journal = journal
        self.reason = reason


class TransactionError(PkgInstallError):
    """A transaction failed; the prefix is the old one again."""

    def __init__(self, prefix: Path, reason: str) -> None:
        super().__init__(f"cannot change {prefix}: {reason}; nothing was changed")
        self.prefix = prefix
        self.reason = reason
