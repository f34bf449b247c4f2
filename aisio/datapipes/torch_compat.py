"""The base classes of the datapipes: torch core's, or a replacement if torch has none.

torch core ships datapipes (checked up to 2.15); torchdata has not since 0.10. If torch drops them
too, or is not installed, the classes of `aisio.datapipes` can still be iterated, and chain with
each other. No other module depends on what torch has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

T = TypeVar("T", bound=type)
_CANNOT_BE_SENT = (
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
            """An iterable on which functional names can be called."""

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
                """Make `name` a method of every datapipe."""
                cls.functions[name] = pipe

        class StreamWrapper:
            """An open stream that closes when the last reference to it is dropped."""

            def __init__(self, file_obj: Any) -> None:
                self.file_obj = file_obj

            def __getattr__(self, name: str) -> Any:
                if name == "file_obj":  # an object that is being copied has none yet
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
    """A stream that stays open during a call, even without another reference: `next(it).read()`.

    torch's own closes before its method is called.
    """

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream; a method keeps a reference to this object."""
        value = super().__getattr__(name)  # type: ignore[no-untyped-call]
        return partial(_call, self, value) if callable(value) else value


def _call(_stream: Stream, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return method(*args, **kwargs)


def _raise_at_receiver(stream: Stream) -> tuple[Callable[[str], NoReturn], tuple[str]]:
    """Make the process that receives a stream raise the error.

    If the sender raised it, the thread of its queue would print it and send nothing, and a
    DataLoader would wait forever for that batch.

    Raises:
        TypeError: The stream is an argument of a process that is being started.
    """
    if get_spawning_popen() is not None:
        _raise(_CANNOT_BE_SENT)
    return _raise, (_CANNOT_BE_SENT,)


def _raise(text: str) -> NoReturn:
    raise TypeError(text)


# This is for queues and pipes between processes; it does not change `pickle` and `copy`.
ForkingPickler.register(Stream, _raise_at_receiver)


def functional_names(*names: str) -> Callable[[T], T]:
    """Register a datapipe class under names that become methods of every datapipe.

    A name that another class has registered is not replaced: torchdata before 0.10 registers two of
    the older names.
    """

    def register(cls: T) -> T:
        for name in names:
            if name not in IterDataPipe.functions:
                IterDataPipe.register_datapipe_as_function(name, cls)
        return cls

    return register
