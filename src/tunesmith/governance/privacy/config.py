"""What a recipe says about personal data in its rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tunesmith.core.config import Config

Action = Literal["allow", "block", "redact", "pseudonymise"]

PEOPLE = ("EMAIL", "PHONE", "NAME", "ADDRESS", "DATE_OF_BIRTH", "DRIVER_LICENSE", "PASSPORT")
ONLINE = ("URL", "IP_ADDRESS", "MAC_ADDRESS", "CRYPTO")
MONEY = ("CREDIT_CARD", "IBAN")
NATIONAL = {
    "US_SSN": "US", "US_ITIN": "US", "UK_NHS": "GB", "UK_NINO": "GB", "DE_STEUER_ID": "DE", "FR_NIR": "FR",
    "ES_NIF": "ES", "IT_CODICE_FISCALE": "IT", "NL_BSN": "NL", "BR_CPF": "BR", "PT_NIF": "PT", "BE_NN": "BE",
    "PL_PESEL": "PL", "SE_PERSONNUMMER": "SE", "DK_CPR": "DK", "NO_FODSELSNUMMER": "NO", "FI_HETU": "FI",
    "CH_AHV": "CH", "AT_SVNR": "AT", "IE_PPS": "IE", "CA_SIN": "CA", "AU_TFN": "AU", "IN_AADHAAR": "IN",
    "IN_PAN": "IN", "MX_CURP": "MX", "CN_RIC": "CN", "TR_TCKIMLIK": "TR", "ZA_ID": "ZA", "RO_CNP": "RO",
    "CZ_RC": "CZ", "CL_RUT": "CL", "HR_OIB": "HR",
}  # fmt: skip
"""National identifiers and the country each is of."""
ENTITIES = (*PEOPLE, *ONLINE, *MONEY, *NATIONAL)
COUNTRIES = tuple(sorted(set(NATIONAL.values())))
NOT_SCANNED = ("label", "split")
MAX_PATTERN_CHARS = 1000


class PrivacyConfig(Config):
    """How personal data in the rows is found, and what is done with it before anything learns from them."""

    on_pii: Action = "allow"
    """What happens to what is found. `allow`: counted and shown, kept as it is; `block`: the run is refused (exit code
    3) with counts and row ids; `redact`: replaced by its kind, `[EMAIL]`; `pseudonymise`: replaced by a token that is
    the same for the same value, `EMAIL_k3jq7ay2mwx5`, and leads back only with the project's key. Default: allow."""
    entities: dict[str, Action] = Field(default_factory=dict)
    """Kinds that are treated differently: `{URL: allow, EMAIL: redact}`. docs/privacy.md lists the kinds."""
    columns: tuple[str, ...] | None = None
    """The columns that are looked into; null: `text` and every other column of texts but label and split."""
    min_score: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """How sure a finding must be, 0 to 1. 1: a check digit or an unmistakable form; 0.85: words around it say so; 0.5:
    its form alone. Default: 0.5, everything of those."""
    countries: tuple[str, ...] = ()
    """Countries whose national identifiers are looked for, as two letters. Empty: all that are known, and those that
    are bare digits only beside words that name them; a country named here needs no such words."""
    regions: tuple[str, ...] = ()
    """Countries whose phone numbers may stand without their country code, as two letters. Empty: the 30 of
    docs/privacy.md."""
    patterns: dict[str, str] = Field(default_factory=dict)
    """Kinds of your own: `{ORDER_ID: "ORD-[0-9]{6}"}`, in RE2's syntax (linear time: no look-around, no
    back-references). Names in capitals."""

    @field_validator("countries", "regions", mode="before")
    @classmethod
    def _in_capitals(cls, codes: Any) -> Any:
        if isinstance(codes, list | tuple):
            return tuple(code.upper() if isinstance(code, str) else code for code in codes)
        return codes

    @field_validator("countries")
    @classmethod
    def _countries_are_known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if strange := [code for code in codes if code not in COUNTRIES]:
            raise ValueError(f"no identifiers are known of {', '.join(strange)}: there are {', '.join(COUNTRIES)}")
        return codes

    @field_validator("regions")
    @classmethod
    def _regions_are_known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if codes:
            from phonenumbers import SUPPORTED_REGIONS

            if strange := [code for code in codes if code not in SUPPORTED_REGIONS]:
                raise ValueError(f"no phone numbers are known of {', '.join(strange)}: give two letters, such as DE")
        return codes

    @field_validator("patterns")
    @classmethod
    def _patterns_compile(cls, patterns: dict[str, str]) -> dict[str, str]:
        import re2

        options = re2.Options()
        options.log_errors = False
        for name, pattern in patterns.items():
            if name in ENTITIES:
                raise ValueError(f"`{name}` is a kind of its own already: choose another name")
            if not name.replace("_", "").isalnum() or not name.isascii() or not name.isupper() or len(name) > 40:
                raise ValueError(f"`{name}` is no name for a pattern: capitals, digits and `_`, as in ORDER_ID")
            if not 0 < len(pattern) <= MAX_PATTERN_CHARS:
                raise ValueError(f"the pattern of `{name}` has {len(pattern)} characters: 1 to {MAX_PATTERN_CHARS}")
            try:
                is_empty = re2.compile(pattern, options).search("") is not None
            except re2.error as error:
                reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
                raise ValueError(f"the pattern of `{name}` is not usable (RE2 syntax): {reason}") from None
            if is_empty:
                raise ValueError(f"the pattern of `{name}` also matches nothing at all: it would be found everywhere")
        return patterns

    @model_validator(mode="after")
    def _entities_are_known(self) -> PrivacyConfig:
        import difflib

        known = (*ENTITIES, *self.patterns)
        for name in self.entities:
            if name not in known:
                near = difflib.get_close_matches(name.upper(), known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"there is no kind `{name}`: {hint}")
        if strange := [name for name in self.columns or () if name in NOT_SCANNED]:
            raise ValueError(f"`{strange[0]}` is what is learned or how rows are divided: it is never changed")
        return self

    def action(self, entity: str) -> Action:
        """What is done with a kind."""
        return self.entities.get(entity, self.on_pii)

    @property
    def changes_rows(self) -> bool:
        """Whether anything found is replaced."""
        return bool({self.on_pii, *self.entities.values()} & {"redact", "pseudonymise"})


class PrivacyStageConfig(Config):
    """The configuration of the stages `pii_scan` and `privacy`."""

    source: str
    """The source whose rows these are."""
    privacy: PrivacyConfig = PrivacyConfig()
    """How personal data is found and treated."""
    skip: tuple[str, ...] = NOT_SCANNED
    """Columns that are never looked into."""
    grouped_by: tuple[str, ...] = ()
    """Columns that tell rows apart: redacting them would make one group of all, and is refused."""
