"""The base of our datapipes: torch core's, or a stand-in where torch has none.

torch core still ships datapipes (2.15 checked), torchdata does not since 0.10. Should torch drop
them as well, or not be installed, the classes of `aisio.datapipes` stay iterable and chain with
each other; this is the one file to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

T = TypeVar("T", bound=type)
_STAYS_HERE = (
    "a stream of ais_load_files cannot be sent to another process: read() it in the worker, and "
    "send its bytes"
)

if TYPE_CHECKING:
    from torch.utils.data import IterDataPipe
    from torch.utils.data.datapipes.utils.common import StreamWrapper
else:
    try:
        from torch.utils.data.datapipes.datapipe import IterDataPipe
        from torch.utils.data.datapipes.utils.common import StreamWrapper
    except ImportError:
        try:
            from torch.utils.data import IterableDataset as _Iterable
        except ImportError:
            _Iterable = object

        class IterDataPipe(_Iterable):
            """An iterable that functional names can be called on."""

            functions: ClassVar[dict[str, Callable[..., Any]]] = {}

            def __class_getitem__(cls, item: Any) -> Any:
                return cls

            def __iter__(self) -> Iterator[Any]:
                raise NotImplementedError(f"{type(self).__name__} does not say how to iterate")

            def __getitem__(self, index: int) -> Any:
                raise NotImplementedError(f"{type(self).__name__} cannot be indexed")

            def __getattr__(self, name: str) -> Any:
                if name in IterDataPipe.functions:
                    return partial(IterDataPipe.functions[name], self)
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

            @classmethod
            def register_datapipe_as_function(cls, name: str, pipe: Callable[..., Any]) -> None:
                """Let `name` be called on every datapipe."""
                cls.functions[name] = pipe

        class StreamWrapper:
            """An open stream that is closed when the last reference to it goes."""

            def __init__(self, file_obj: Any) -> None:
                self.file_obj = file_obj

            def __getattr__(self, name: str) -> Any:
                if name == "file_obj":  # a copy has none yet
                    raise AttributeError(name)
                return getattr(self.file_obj, name)

            def __iter__(self) -> Iterator[bytes]:
                yield from self.file_obj

            def __next__(self) -> bytes:
                return next(self.file_obj)

            def __del__(self) -> None:
                if "file_obj" in self.__dict__:
                    self.file_obj.close()


__all__ = ["IterDataPipe", "Stream", "StreamWrapper", "functional_names"]


class Stream(StreamWrapper):
    """A stream that also stays open while it is read and nobody else holds it: `next(it).read()`.

    torch's own is closed before its method is called.
    """

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has; a method holds it."""
        found = super().__getattr__(name)  # type: ignore[no-untyped-call]
        return partial(_call_of, self, found) if callable(found) else found


def _call_of(_held: Stream, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    return method(*given, **named)


def _refuse_at_the_receiver(stream: Stream) -> tuple[Callable[[str], NoReturn], tuple[str]]:
    """Have the process that a stream is sent to raise the error.

    The sender's thread behind a queue would print it and send nothing, and a DataLoader would wait
    for ever for that batch.

    Raises:
        TypeError: The stream is given to a process that is being started.
    """
    if get_spawning_popen() is not None:
        _refuse(_STAYS_HERE)
    return _refuse, (_STAYS_HERE,)


def _refuse(text: str) -> NoReturn:
    raise TypeError(text)


# For what goes through queues and pipes; `pickle` and `copy` treat streams as before.
ForkingPickler.register(Stream, _refuse_at_the_receiver)


def functional_names(*names: str) -> Callable[[T], T]:
    """Register a datapipe class under names that can be called on any datapipe.

    A name that is taken stays with its owner: torchdata before 0.10 registers two of the older
    ones.
    """

    def register(cls: T) -> T:
        for name in names:
            if name not in IterDataPipe.functions:
                IterDataPipe.register_datapipe_as_function(name, cls)
        return cls

    return register
