"""The wiring table: every kind a recipe can name, as lazy strings. Adding a kind is one file, one test, one row."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunesmith.core.errors import RecipeError

Table = Literal[
    "stage",
    "source",
    "augmentation",
    "method",
    "trainable",
    "language_method",
    "language_trainable",
    "optimizer",
    "builder",
    "baseline",
    "engine",
    "metric",
    "searcher",
]


@dataclass(frozen=True)
class Wire:
    """One kind: what a recipe writes, where its config and its code are, and how it is run."""

    table: Table
    kind: str
    make: str
    """``module:name`` of the code; opened only when it runs."""
    config: str | None = None
    """``module:name`` of its config class, in a module that imports nothing heavy."""
    doc: str = ""
    version: int = 1
    """Part of the step key: raised when the same config and inputs would now give another result."""
    is_heavy: bool = False
    """Runs in a process of its own."""
    in_plan: bool = False
    """Carried out by ``plan`` already, where all its inputs are made by such steps."""
    interpreter: str | None = None
    """The environment variable that names another Python to run it in; ``None``: this one."""


def _row(table: Table, kind: str, make: str, config: str | None = None, doc: str = "", **more: Any) -> Wire:
    return Wire(table, kind, f"tunesmith.{make}", None if config is None else f"tunesmith.{config}", doc, **more)


# fmt: off
_ROWS: list[Wire] = [
    _row("stage", "ingest", "data.ingest:Ingest", "data.config:IngestConfig", "Reads a source into a dataset", in_plan=True),
    _row("stage", "pii_scan", "governance.privacy.stage:PiiScan", "governance.privacy.config:PrivacyStageConfig", "Finds personal data in a dataset", in_plan=True),
    _row("stage", "privacy", "governance.privacy.stage:Privacy", "governance.privacy.config:PrivacyStageConfig", "Redacts or pseudonymises personal data", in_plan=True),
    _row("stage", "pull", "data.pull:Pull", "data.config:IngestConfig", "Reads what is new of a source and joins it with what was read before", in_plan=True),
    _row("stage", "format", "data.formats.stage:Format", "data.formats.config:FormatConfig", "Makes the rows of a source conversations", in_plan=True),
    _row("stage", "prepare", "data.prepare:Prepare", "data.prepare_config:PrepareConfig", "Cleans, checks and splits datasets", in_plan=True),
    _row("stage", "texts", "data.labelled_texts:LabelledTexts", "data.config:LabelledTextsConfig", "Takes the texts of divided rows, for pre-training without the test rows", in_plan=True),
    _row("stage", "unread", "data.unread:Unread", "data.extend_config:ExtendConfig", "Stands in for prepare where the rows of the model in production are all there is", in_plan=True),
    _row("stage", "extend", "data.extend:Extend", "data.extend_config:ExtendConfig", "Joins new rows with those of the model in production", in_plan=True, version=2),
    _row("stage", "base", "selection.pin:Base", "selection.config:BaseConfig", "Checks and pins the pre-trained model", in_plan=True),
    _row("stage", "registered", "selection.registered:Registered", "selection.config:RegisteredConfig", "Makes a registered model the base of another", is_heavy=True, in_plan=True),
    _row("stage", "select", "selection.select:Select", "selection.config:SelectConfig", "Ranks pre-trained models on the training rows", is_heavy=True),
    _row("stage", "features", "training.features:Features", "training.config:FeaturesConfig", "Runs the frozen base once over every row", is_heavy=True),
    _row("stage", "label_errors", "data.labels.errors:LabelErrors", "data.labels.config:LabelErrorsConfig", "Looks for labels that are likely wrong", is_heavy=True),
    _row("stage", "without_suspects", "data.labels.remove:WithoutSuspects", "data.labels.config:WithoutSuspectsConfig", "Removes training rows whose label is likely wrong"),
    _row("stage", "augment", "data.augment.stage:Augment", "data.augment.config:AugmentConfig", "Makes training rows from training rows"),
    _row("stage", "tokens", "training.language.tokens:Tokens", "training.language.tokens_config:TokensConfig", "Turns conversations and texts into tokens, and says which are trained", in_plan=True),
    _row("stage", "layers", "training.layers:Layers", "training.config:LayersConfig", "Runs the layers below the trained ones once over every row", is_heavy=True),
    _row("stage", "baselines", "evaluation.baselines.stage:Baselines", "evaluation.config:BaselinesConfig", "Fits the cheap baselines a model must beat", is_heavy=True),
    _row("stage", "tune", "training.tune:Tune", "training.tune_config:TuneStageConfig", "Searches for better settings on the validation rows", is_heavy=True),
    _row("stage", "train", "training.stage:Train", "training.config:TrainStageConfig", "Fine-tunes the model", is_heavy=True),
    _row("stage", "train_language", "training.language.stage:TrainLanguage", "training.language.phase_config:TrainLanguageConfig", "Fine-tunes a language model", is_heavy=True),
    _row("stage", "adapt", "training.language.adapt:Adapt", "training.language.phase_config:TrainLanguageConfig", "Pre-trains an encoder further on texts", is_heavy=True),
    _row("stage", "keep", "evaluation.keep:Keep", "evaluation.keep_config:KeepConfig", "Keeps the model of augmented rows if it is better", is_heavy=True),
    _row("stage", "robustness", "evaluation.robustness:Robustness", "evaluation.measures_config:RobustnessStageConfig", "Answers perturbed test texts", is_heavy=True),
    _row("stage", "cost", "evaluation.cost:Cost", "evaluation.measures_config:CostStageConfig", "Times single answers on this machine", is_heavy=True, version=2),
    _row("stage", "champion", "evaluation.champion:Champion", "evaluation.config:BaselinesConfig", "The model in production predicts its challenger's rows", is_heavy=True),
    _row("stage", "evaluate", "evaluation.stage:Evaluate", "evaluation.config:EvaluateStageConfig", "Measures the model against the baselines", is_heavy=True, version=2),
    _row("stage", "vectors", "explanation.vectors:Vectors", "explanation.config:VectorsConfig", "Keeps every training row as the model sees it", is_heavy=True),
    _row("stage", "explain", "explanation.stage:Explain", "explanation.config:ExplainStageConfig", "Explains answers by words and by training rows", is_heavy=True, version=2),
    _row("stage", "evaluate_language", "evaluation.language.stage:EvaluateLanguage", "evaluation.language.config:EvaluateLanguageConfig", "Measures a language model against the untrained base", is_heavy=True),
    _row("stage", "reference", "monitoring.reference:Reference", "monitoring.config:ReferenceConfig", "Measures the rows a model was made with, to compare later ones with", is_heavy=True),
    _row("stage", "drift", "monitoring.stage:Drift", "monitoring.config:DriftStageConfig", "Compares what a served model is asked, and answers, with what it was made with", is_heavy=True),

    _row("source", "csv", "data.sources.several:open_files", "data.sources.csv:CsvConfig", "Comma, semicolon or tab separated text"),
    _row("source", "jsonl", "data.sources.several:open_files", "data.sources.jsonl:JsonlConfig", "One JSON object a line"),
    _row("source", "json", "data.sources.several:open_files", "data.sources.json:JsonConfig", "One JSON document: a list of objects, or an object of objects"),
    _row("source", "parquet", "data.sources.several:open_files", "data.sources.table_config:ParquetConfig", "Parquet files"),
    _row("source", "arrow", "data.sources.several:open_files", "data.sources.table_config:ArrowConfig", "Arrow files: Feather, or the stream that `datasets` writes"),
    _row("source", "text", "data.sources.plain_text:TextSource", "data.sources.plain_text:TextConfig", "Text and Markdown files: a row a document, line or paragraph"),
    _row("source", "hub", "data.sources.hub:HubSource", "data.sources.hub_config:HubConfig", "A folder that `datasets` saved, or a data set of the Hugging Face Hub"),
    _row("source", "sql", "data.sources.sql:SqlSource", "data.sources.sql:SqlConfig", "A table or query of any database SQLAlchemy reaches"),
    _row("source", "http", "data.sources.http:HttpSource", "data.sources.http_config:HttpConfig", "An HTTP API that answers with JSON, page by page"),

    _row("augmentation", "typos", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "Typing errors"),
    _row("augmentation", "case", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "Lower, upper or mixed letter case"),
    _row("augmentation", "whitespace", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "Spaces doubled or lost"),
    _row("augmentation", "truncation", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "The end cut off"),
    _row("augmentation", "lookalikes", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "Letters of other scripts that look the same"),
    _row("augmentation", "punctuation", "data.augment.perturbed:Perturbed", "data.augment.config:PerturbConfig", "No punctuation"),
    _row("augmentation", "synonyms", "data.augment.synonyms:Synonyms", "data.augment.config:SynonymsConfig", "Words of a list replaced by others that mean the same"),
    _row("augmentation", "slots", "data.augment.slots:Slots", "data.augment.config:SlotsConfig", "Values replaced by others of the same kind"),

    _row("method", "classify", "training.methods.classify:Classify", "training.methods.config:ClassifyConfig", "One label per text: cross-entropy"),
    _row("method", "tag", "training.methods.tag:Tag", "training.methods.config:TagConfig", "Any number of labels per text: binary cross-entropy"),
    _row("method", "regress", "training.methods.regress:Regress", "training.methods.config:RegressConfig", "One or more numbers per text: squared error"),
    _row("language_method", "sft", "training.methods.sft:Sft", "training.methods.language_config:SftConfig", "The next token of answers: cross-entropy"),
    _row("language_method", "continued_pretraining", "training.methods.continued_pretraining:ContinuedPretraining", "training.methods.language_config:ContinuedPretrainingConfig", "The next token of texts; for encoders masked tokens"),

    _row("trainable", "full", "training.trainables.full:Full", "training.trainables.config:FullConfig", "Every weight learns"),
    _row("trainable", "head", "training.trainables.head:HeadOnly", "training.trainables.config:HeadConfig", "Only a new head learns; the base runs once"),
    _row("trainable", "top_layers", "training.trainables.top_layers:TopLayers", "training.trainables.config:TopLayersConfig", "The top layers and a new head learn; those below run once"),
    _row("trainable", "lora", "training.trainables.lora:Lora", "training.trainables.config:LoraConfig", "Low-rank adapters beside frozen weights learn"),

    _row("language_trainable", "lora", "training.language.trainables:Lora", "training.language.trainables_config:LanguageLoraConfig", "Low-rank adapters beside frozen weights learn"),
    _row("language_trainable", "full", "training.language.trainables:Full", "training.language.trainables_config:LanguageFullConfig", "Every weight learns"),
    _row("language_trainable", "top_layers", "training.language.trainables:TopLayers", "training.language.trainables_config:LanguageTopLayersConfig", "The top layers learn"),
    _row("language_trainable", "head", "training.language.trainables:Head", "training.language.trainables_config:LanguageHeadConfig", "Only the output layer learns"),

    _row("optimizer", "adamw", "training.optimizers:adamw", "training.optimizer_config:AdamWConfig", "Adam with decoupled weight decay"),
    _row("optimizer", "adam", "training.optimizers:adam", "training.optimizer_config:AdamConfig", "Adam, weight decay in the gradient"),
    _row("optimizer", "sgd", "training.optimizers:sgd", "training.optimizer_config:SgdConfig", "Stochastic gradient descent with momentum"),
    _row("optimizer", "rmsprop", "training.optimizers:rmsprop", "training.optimizer_config:RmsPropConfig", "Gradient over its running root mean square"),
    _row("optimizer", "adafactor", "training.optimizers:adafactor", "training.optimizer_config:AdafactorConfig", "Adam's squares as rows and columns: little memory"),
    _row("optimizer", "lion", "training.optimizers:lion", "training.optimizer_config:LionConfig", "The sign of a momentum: one state a weight"),
    _row("optimizer", "muon", "training.optimizers:muon", "training.optimizer_config:MuonConfig", "Orthogonal momentum of matrices, AdamW for the rest"),
    _row("optimizer", "adamw_8bit", "training.optimizers:adamw_8bit", "training.optimizer_config:AdamW8bitConfig", "AdamW with moments of 8 bits, on a GPU"),

    _row("baseline", "majority", "evaluation.baselines.majority:Majority", None, "The most frequent labels of the training rows"),
    _row("baseline", "mean", "evaluation.baselines.mean:Mean", None, "The mean target of the training rows"),
    _row("baseline", "base_centroid", "evaluation.baselines.base_centroid:BaseCentroid", None, "Nearest class mean in the frozen base's space"),
    _row("baseline", "base_logistic", "evaluation.baselines.base_logistic:BaseLogistic", None, "Logistic regression for each label on the frozen base's features"),
    _row("baseline", "base_ridge", "evaluation.baselines.base_ridge:BaseRidge", None, "Ridge regression on the frozen base's features"),
    _row("baseline", "tfidf", "evaluation.baselines.tfidf:Tfidf", None, "TF-IDF with logistic or ridge regression"),

    _row("searcher", "tpe", "tuning.search:halving", "tuning.config:TpeConfig", "Draws near good trials and pauses most of them early"),
    _row("searcher", "random", "tuning.search:random", "tuning.config:RandomConfig", "Draws at random and trains every trial to its end"),

    _row("engine", "transformers", "engines.transformers:TransformersEngine", None, "Runs a model in this process"),
    _row("engine", "generation", "engines.generation:GenerationEngine", None, "Runs a language model in this process"),
]
# fmt: on

_added: list[Wire] = []


def rows(table: Table) -> dict[str, Wire]:
    """Every kind of a table by its name."""
    return {wire.kind: wire for wire in (*_ROWS, *_added) if wire.table == table}


def wire(table: Table, kind: str) -> Wire:
    """The row of a kind.

    Raises: RecipeError naming the nearest known kind.
    """
    known = rows(table)
    if kind in known:
        return known[kind]
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else None
    what = table.replace("_", " ")
    raise RecipeError(f"there is no {what} of kind `{kind}`", seen=kind, allowed=", ".join(sorted(known)), next=hint)


def load(path: str) -> Any:
    """The object that ``module:name`` stands for."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@contextmanager
def added(*wires: Wire) -> Iterator[None]:
    """More rows for as long as the context lasts; child processes of it are given them too."""
    _added.extend(wires)
    try:
        yield
    finally:
        for one in wires:
            _added.remove(one)


def dump_added() -> list[dict[str, Any]]:
    """The added rows as JSON values, for a child process."""
    return [asdict(one) for one in _added]


def load_added(dumped: list[dict[str, Any]]) -> None:
    """Take over the rows that a parent process had added."""
    _added.extend(Wire(**one) for one in dumped)
