"""One logistic regression for each label, with the thresholds chosen as the model's own are.

Shapes: N rows, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics import thresholds
from tunesmith.metrics.table import scores

WITHOUT_VALIDATION = 10.0


class OneVsRest:
    """Margins of every label: probability less threshold. A label that all rows have, or none, is answered so."""

    def __init__(self, strengths: Sequence[float]) -> None:
        self.strengths = strengths
        """Inverse penalties tried."""
        self.models: list[Any] = []
        self.thresholds_C: NDArray[np.float64] = np.zeros(0)

    def fit(
        self, train: Any, has_NC: NDArray[np.bool_], validation: Any, wanted_NC: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Fit, choose the penalty and the thresholds on the validation rows, and say what was chosen.

        The penalty with the best mean average precision wins, which no threshold moves; then each label gets the
        threshold with the best F1, exactly as the fine-tuned model does.
        """
        num_validation = len(wanted_NC)
        if not num_validation:
            self._fit(train, has_NC, WITHOUT_VALIDATION)
            self.thresholds_C = np.full(has_NC.shape[1], thresholds.DEFAULT)
            return {"C": WITHOUT_VALIDATION, "chosen_on": "default"}
        tried = []
        for strength in self.strengths:
            self._fit(train, has_NC, strength)
            probability_NC = self._probabilities(validation)
            score = scores("tag", wanted_NC, probability_NC)["average_precision"]
            # Where no validation row has a label nothing ranks, and the first penalty stands.
            tried.append((-np.inf if np.isnan(score) else score, strength, self.models, probability_NC))
        _, chosen, self.models, found_NC = max(tried, key=lambda one: one[0])
        self.thresholds_C = np.array([one.value for one in thresholds.best_f1(wanted_NC, found_NC)])
        return {"C": chosen, "chosen_on": "validation"}

    def margins(self, rows: Any) -> NDArray[np.float64]:
        """Probability less threshold, (N, C)."""
        return np.asarray(self._probabilities(rows) - self.thresholds_C)

    def _fit(self, train: Any, has_NC: NDArray[np.bool_], strength: float) -> None:
        from scipy.sparse import issparse
        from sklearn.linear_model import LogisticRegression

        # Each is several times faster than the other on such features.
        solver = "liblinear" if issparse(train) else "lbfgs"
        self.models = [
            float(has_N[0])
            if has_N.all() or not has_N.any()
            else LogisticRegression(C=strength, solver=solver, max_iter=300, random_state=0).fit(train, has_N)
            for has_N in has_NC.T
        ]

    def _probabilities(self, rows: Any) -> NDArray[np.float64]:
        num_rows = rows.shape[0]
        columns = [
            np.full(num_rows, model) if isinstance(model, float) else model.predict_proba(rows)[:, 1]
            for model in self.models
        ]
        return np.stack(columns, axis=1)
