"""Ridge regression on rows that are taken and dropped one at a time, by inverses that follow each change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Changes of an inverse before it is computed again: they add up rounding.
UPDATES = 1000
# Entries of the rows taken that are held in double precision at once.
BLOCK = 2**22


class Ridge(ABC):
    """Weights w of the rows taken that make |A^T w - b|^2 + lambda |w|^2 least, A having a row for each of the k taken.

    With K = A A^T + lambda I (k x k) and M = A^T A + lambda I (d x d), w = K^-1 A b = A M^-1 b, and the residual
    b - A^T w is lambda M^-1 b.

    Args:
        rows: N x d float32.
        target: b, d float64.
        ridge: lambda, above 0.

    Attributes:
        active: positions of the rows taken, in the order in which they were.
        changes: how many were taken or dropped so far.
    """

    def __init__(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> None:
        self.rows = rows
        self.target = target
        self.ridge = ridge
        self.active: list[int] = []
        self.changes = 0

    def take(self, row: int) -> None:
        """Take the row at a position of the N, after those taken before."""
        self._grow(self.rows[row].astype(float))
        self.active.append(row)
        self._changed()

    def drop(self, place: int) -> None:
        """Drop the row at a place of `active`."""
        self._shrink(place)
        del self.active[place]
        self._changed()

    def _changed(self) -> None:
        self.changes += 1
        if self.changes % UPDATES == 0:
            self.renew()

    @abstractmethod
    def renew(self) -> None:
        """Compute the inverse again."""

    @abstractmethod
    def weights(self) -> np.ndarray:
        """Return w, k float64."""

    @abstractmethod
    def residual(self) -> np.ndarray:
        """Return b - A^T w, d float64."""

    @abstractmethod
    def _grow(self, row: np.ndarray) -> None: ...

    @abstractmethod
    def _shrink(self, place: int) -> None: ...


class ByDimensions(Ridge):
    """By M^-1, which a change alters by one outer product (Sherman and Morrison): d^2 numbers, and steps a change."""

    def __init__(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> None:
        super().__init__(rows, target, ridge)
        self.renew()

    def renew(self) -> None:
        """Compute M^-1 and M^-1 b again."""
        import numpy as np

        taken = self.rows[self.active].astype(float)
        matrix = taken.T @ taken
        matrix[np.diag_indices_from(matrix)] += self.ridge
        self.inverse = np.asfortranarray(np.linalg.inv(matrix))
        self.solution = self.inverse @ self.target

    def weights(self) -> np.ndarray:
        """Return w = A M^-1 b."""
        return self.rows[self.active] @ self.solution

    def residual(self) -> np.ndarray:
        """Return lambda M^-1 b."""
        return self.ridge * self.solution

    def _grow(self, row: np.ndarray) -> None:
        self._alter(row, 1.0)

    def _shrink(self, place: int) -> None:
        self._alter(self.rows[self.active[place]].astype(float), -1.0)

    def _alter(self, row: np.ndarray, sign: float) -> None:
        from scipy.linalg.blas import dger

        turned = self.inverse @ row
        factor = -sign / (1 + sign * float(row @ turned))
        self.solution = self.solution + factor * float(row @ self.solution) * turned
        self.inverse = dger(factor, turned, turned, a=self.inverse, overwrite_a=1)


class ByRows(Ridge):
    """By K^-1, which a row taken borders and a row dropped cuts: 2 k^2 numbers, and k d + k^2 steps a change."""

    def __init__(self, rows: np.ndarray, target: np.ndarray, ridge: float) -> None:
        import numpy as np

        super().__init__(rows, target, ridge)
        # K, its inverse, and A b.
        self.matrix: np.ndarray = np.zeros((0, 0))
        self.inverse: np.ndarray = np.zeros((0, 0))
        self.products: np.ndarray = np.zeros(0)

    def renew(self) -> None:
        """Compute K^-1 again."""
        import numpy as np

        self.inverse = np.linalg.inv(self.matrix)

    def weights(self) -> np.ndarray:
        """Return w = K^-1 A b."""
        return self.inverse @ self.products

    def residual(self) -> np.ndarray:
        """Return b - A^T w."""
        weights = self.weights()
        left = self.target.copy()
        for places, taken in self._taken():
            left -= weights[places] @ taken
        return left

    def _taken(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield A in double precision, some rows at a time, with their places."""
        step = max(1, BLOCK // len(self.target))
        for start in range(0, len(self.active), step):
            places = slice(start, start + step)
            yield places, self.rows[self.active[places]].astype(float)

    def _grow(self, row: np.ndarray) -> None:
        import numpy as np

        products = np.empty(len(self.active))
        for places, taken in self._taken():
            products[places] = taken @ row
        length = float(row @ row) + self.ridge
        turned = self.inverse @ products
        # What of the row the others do not explain: at least lambda.
        own = length - float(products @ turned)
        self.matrix = bordered(self.matrix, products, length)
        self.inverse = bordered(self.inverse + np.outer(turned, turned / own), -turned / own, 1 / own)
        self.products = np.append(self.products, row @ self.target)

    def _shrink(self, place: int) -> None:
        import numpy as np

        rest = np.delete(np.arange(len(self.active)), place)
        column = self.inverse[rest, place]
        self.inverse = self.inverse[np.ix_(rest, rest)] - np.outer(column, column / self.inverse[place, place])
        self.matrix = self.matrix[np.ix_(rest, rest)]
        self.products = self.products[rest]


def bordered(matrix: np.ndarray, column: np.ndarray, corner: float) -> np.ndarray:
    """Return a symmetric k x k matrix with one more column and row, both alike, and the number where they meet."""
    import numpy as np

    return np.block([[matrix, column[:, None]], [column[None, :], np.full((1, 1), corner)]])


def ridge_of(rows: np.ndarray, target: np.ndarray, ridge: float, count: int) -> Ridge:
    """Return the regression on up to `count` of N x d rows, by the smaller of the two inverses."""
    return (ByDimensions if rows.shape[1] <= count else ByRows)(rows, target, ridge)
