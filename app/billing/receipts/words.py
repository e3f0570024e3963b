"""The words of receipts, in the languages drivers may have. English is the fallback.

Letters beyond Latin, Greek and Cyrillic are not in the fonts, so that a driver with Chinese texts gets an English one.
"""

from __future__ import annotations

from babel import Locale

from app.core.i18n import DEFAULT_LANGUAGE

_ORDER = ("en", "bg", "el", "mk", "pt", "de", "fr")

_WORDS: dict[str, tuple[str, str, str, str, str, str, str]] = {
    "receipt": ("Receipt", "Разписка", "Απόδειξη", "Потврда", "Recibo", "Quittung", "Reçu"),
    "credit_note": (
        "Credit note",
        "Кредитно известие",
        "Πιστωτικό σημείωμα",
        "Книжно одобрение",
        "Nota de crédito",
        "Gutschrift",
        "Avoir",
    ),
    "number": ("Number", "Номер", "Αριθμός", "Број", "Número", "Nummer", "Numéro"),
    "issued": (
        "Date of issue",
        "Дата на издаване",
        "Ημερομηνία έκδοσης",
        "Датум на издавање",
        "Data de emissão",
        "Ausstellungsdatum",
        "Date d’émission",
    ),
    "period": ("Period", "Период", "Περίοδος", "Период", "Período", "Zeitraum", "Période"),
    "corrects": (
        "For receipt",
        "Към разписка",
        "Για την απόδειξη",
        "За потврда",
        "Relativa ao recibo",
        "Zur Quittung",
        "Pour le reçu",
    ),
    "from": ("Issued by", "Издадена от", "Εκδότης", "Издавач", "Emitente", "Aussteller", "Émetteur"),
    "to": ("Issued to", "Получател", "Παραλήπτης", "Примач", "Destinatário", "Empfänger", "Destinataire"),
    "registration_no": (
        "Registration No.",
        "ЕИК",
        "Αρ. μητρώου",
        "Регистарски бр.",
        "N.º de registo",
        "Registernummer",
        "N° d’immatriculation",
    ),
    "vat_no": ("VAT No.", "ДДС №", "ΑΦΜ", "ДДВ бр.", "N.º de IVA", "USt-IdNr.", "N° TVA"),
    "bank": ("Bank", "Банка", "Τράπεζα", "Банка", "Banco", "Bank", "Banque"),
    "sessions": (
        "Charging sessions",
        "Зареждания",
        "Φορτίσεις",
        "Полнења",
        "Carregamentos",
        "Ladevorgänge",
        "Recharges",
    ),
    "given_back": (
        "Given back",
        "Върнати суми",
        "Επιστροφές",
        "Вратени износи",
        "Valores devolvidos",
        "Erstattungen",
        "Remboursements",
    ),
    "date": ("Date", "Дата", "Ημερομηνία", "Датум", "Data", "Datum", "Date"),
    "place": ("Place", "Място", "Τοποθεσία", "Место", "Local", "Ort", "Lieu"),
    "energy": ("Energy", "Енергия", "Ενέργεια", "Енергија", "Energia", "Energie", "Énergie"),
    "duration": ("Duration", "Времетраене", "Διάρκεια", "Траење", "Duração", "Dauer", "Durée"),
    "amount": ("Amount", "Сума", "Ποσό", "Износ", "Valor", "Betrag", "Montant"),
    "vat_rate": ("VAT rate", "Ставка ДДС", "Συντελεστής ΦΠΑ", "Стапка на ДДВ", "Taxa de IVA", "USt-Satz", "Taux TVA"),
    "net": (
        "Without VAT",
        "Без ДДС",
        "Χωρίς ΦΠΑ",
        "Без ДДВ",
        "Sem IVA",
        "Netto",
        "Hors TVA",
    ),
    "vat": ("VAT", "ДДС", "ΦΠΑ", "ДДВ", "IVA", "USt", "TVA"),
    "gross": ("With VAT", "С ДДС", "Με ΦΠΑ", "Со ДДВ", "Com IVA", "Brutto", "TTC"),
    "total": (
        "Total paid",
        "Общо платено",
        "Σύνολο πληρωμής",
        "Вкупно платено",
        "Total pago",
        "Gesamt bezahlt",
        "Total payé",
    ),
    "total_back": (
        "Total given back",
        "Общо върнато",
        "Σύνολο επιστροφής",
        "Вкупно вратено",
        "Total devolvido",
        "Gesamt erstattet",
        "Total remboursé",
    ),
    "page": ("Page", "Страница", "Σελίδα", "Страница", "Página", "Seite", "Page"),
    "times": ("Times", "Часова зона", "Ώρες", "Времиња", "Horas", "Zeiten", "Heures"),
    "questions": (
        "Questions?",
        "Въпроси?",
        "Ερωτήσεις;",
        "Прашања?",
        "Dúvidas?",
        "Fragen?",
        "Des questions ?",
    ),
    "hours": ("h", "ч", "ώ", "ч", "h", "Std.", "h"),
    "minutes": ("min", "мин", "λ", "мин", "min", "Min.", "min"),
}


def language_of(locale: str) -> str:
    """The language in which a driver of this locale gets receipts: ``de-AT`` → ``de``; English for others."""
    code = locale.replace("_", "-").partition("-")[0].lower()
    return code if code in _ORDER else DEFAULT_LANGUAGE


def word(name: str, language: str) -> str:
    """A text in one of the languages. Raises KeyError for a name that has none."""
    return _WORDS[name][_ORDER.index(language_of(language))]


def words(language: str) -> dict[str, str]:
    """All texts of one language by name."""
    return {name: word(name, language) for name in _WORDS}


def babel_locale(language: str) -> Locale:
    """How numbers and dates are written in a language; in English as in Europe, days before months."""
    found = language_of(language)
    return Locale.parse("en_GB" if found == DEFAULT_LANGUAGE else {"pt": "pt_PT"}.get(found, found))
