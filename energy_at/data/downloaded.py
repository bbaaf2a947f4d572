"""Data sets that torchvision downloads and reads."""

from abc import abstractmethod
from contextlib import nullcontext

from energy_at.data.memory import Arrays, InMemoryData
from energy_at.files import writing
from energy_at.reading import readable

REMEDY = "delete it and run again with internet access and download=True, or put the official files there"


class DownloadedData(InMemoryData):
    """An in-memory set whose files come from its authors' site; see ``InMemoryData`` for the arguments.

    Raises:
        InputError: if an argument is out of range.
    """

    location: str = ""

    def prepare_data(self) -> None:
        """Download, on one process, what is missing; torchvision shows the progress and checks the sums.

        Raises:
            InputError: if the files are missing or damaged and cannot be downloaded.
        """
        if self.download and not self._arrays:
            for split in ("train", "test"):
                self._open_checked(split, download=True)

    def _read(self, split: str) -> Arrays:
        return self._open_checked(split, download=False)

    def _open_checked(self, split: str, download: bool) -> Arrays:
        path = self.root / self.location.format(split=split)
        with readable(path, REMEDY), writing(path) if download else nullcontext():
            return self._open(split, download)

    @abstractmethod
    def _open(self, split: str, download: bool) -> Arrays:
        """Let torchvision read one split, after downloading it if asked."""
