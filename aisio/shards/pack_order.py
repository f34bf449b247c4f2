"""The order of samples in shards, and their split: by a hash of the key, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from hashlib import blake2b
from math import lcm

from aisio.errors import ConfigError
from aisio.shards.pack_files import PackSample

__all__ = ["check_seed", "shuffled", "split_fractions", "split_samples"]

_MAX_SEED = (1 << 64) - 1


def check_seed(seed: int) -> int:
    """Return a seed that can be used.

    Raises:
        ConfigError: It is negative or has more than 64 bits.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise ConfigError(f"seed={seed} must be between 0 and {_MAX_SEED}")
    return seed


def shuffled(samples: Iterable[PackSample], seed: int) -> list[PackSample]:
    """Return the samples in the order of a hash of seed and key.

    A sample that is added or removed does not move the others.
    """
    return sorted(samples, key=_hash_of("shuffle", seed))


def split_fractions(split: Mapping[str, float | str]) -> dict[str, Fraction]:
    """Return the fractions of a split, exactly as they are written.

    Raises:
        ConfigError: A fraction is no number above 0, or a name cannot be that of a folder; or
            they add up to more than 1.
    """
    fractions = {}
    for name, given in split.items():
        if not name or "/" in name or name.startswith("."):
            raise ConfigError(f"split {name!r} must be the name of a folder, as in train")
        try:
            fractions[name] = Fraction(str(given))
        except (ValueError, ZeroDivisionError) as error:
            raise ConfigError(f"split {name}={given}: expected a fraction as in 0.9") from error
        if fractions[name] <= 0:
            raise ConfigError(f"split {name}={given}: more than 0 is needed")
    total = sum(fractions.values())
    if not fractions or total > 1:
        raise ConfigError(
            f"split {_text(split)}: the fractions add up to {float(total):g}, more than 1"
            if fractions
            else "split: at least one is needed, as in train=0.9,val=0.1"
        )
    return fractions


def split_samples(
    samples: Sequence[PackSample], fractions: Mapping[str, Fraction]
) -> tuple[dict[str, list[PackSample]], int]:
    """Split samples; each class is split as the whole, as nearly as its number allows.

    The samples of a class are put in the order of a hash of their keys. Then one after the other,
    class by class, goes to the split that is furthest behind its fraction.

    Args:
        samples: The samples, with labels if they have any.
        fractions: As from `split_fractions`.

    Returns:
        The samples of each split, in the order of `samples`, and how many are in none.

    Raises:
        ConfigError: A split would have no sample.
    """
    denominator = lcm(*(fraction.denominator for fraction in fractions.values()))
    shares = [int(fraction * denominator) for fraction in fractions.values()]
    shares.append(denominator - sum(shares))  # of no split
    hash_of = _hash_of("split", 0)
    order = sorted(samples, key=lambda one: (one.label or "", *hash_of(one)))
    counts = [0] * len(shares)
    split_of = {}
    for position, sample in enumerate(order, 1):
        behind = [
            share * position - count * denominator
            for share, count in zip(shares, counts, strict=True)
        ]
        number = behind.index(max(behind))
        counts[number] += 1
        split_of[sample.key] = number
    for (name, fraction), count in zip(fractions.items(), counts, strict=False):
        if not count:
            raise ConfigError(
                f"split {name}={float(fraction):g}: it would have none of {len(samples):,} samples"
            )
    splits: dict[str, list[PackSample]] = {name: [] for name in fractions}
    rows = [*splits.values(), []]
    for sample in samples:
        rows[split_of[sample.key]].append(sample)
    return splits, counts[-1]


def _hash_of(purpose: str, seed: int) -> Callable[[PackSample], tuple[bytes, str]]:
    start = blake2b(digest_size=8, salt=seed.to_bytes(8, "little"), person=purpose.encode())

    def hash_of(sample: PackSample) -> tuple[bytes, str]:
        hasher = start.copy()
        hasher.update(sample.key.encode("utf-8", "surrogateescape"))
        return hasher.digest(), sample.key

    return hash_of


def _text(split: Mapping[str, float | str]) -> str:
    return ",".join(f"{name}={fraction}" for name, fraction in split.items())
