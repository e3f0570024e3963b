"""The words of verifying an e-mail address or phone number: mail, text message and page, by language."""

from __future__ import annotations

from app.core.i18n import DEFAULT_LANGUAGE, LANGUAGES

_ORDER = ("en", "bg", "el", "mk", "zh-Hant", "pt")

_WORDS: dict[str, tuple[str, str, str, str, str, str]] = {
    "title": (
        "Confirm your e-mail address",
        "Потвърждаване на имейл адреса",
        "Επιβεβαίωση διεύθυνσης e-mail",
        "Потврда на е-поштата",
        "確認電子郵件地址",
        "Confirmar o endereço de e-mail",
    ),
    "confirm": ("Confirm", "Потвърждавам", "Επιβεβαίωση", "Потврди", "確認", "Confirmar"),
    "intro": (
        "Is this your address at {}?",
        "Това ли е вашият адрес в {}?",
        "Είναι αυτή η διεύθυνσή σας στη {};",
        "Дали е ова вашата адреса во {}?",
        "這是您在 {} 的地址嗎？",
        "É este o seu endereço em {}?",
    ),
    "done": (
        "Your address is confirmed",
        "Адресът е потвърден",
        "Η διεύθυνση επιβεβαιώθηκε",
        "Адресата е потврдена",
        "地址已確認",
        "O endereço está confirmado",
    ),
    "done_hint": (
        "You can close this page.",
        "Можете да затворите страницата.",
        "Μπορείτε να κλείσετε τη σελίδα.",
        "Можете да ја затворите страницава.",
        "您可以關閉此頁面。",
        "Pode fechar esta página.",
    ),
    "over": (
        "This link holds no more",
        "Тази връзка вече не важи",
        "Ο σύνδεσμος δεν ισχύει πια",
        "Оваа врска повеќе не важи",
        "此連結已失效",
        "Esta ligação já não é válida",
    ),
    "over_hint": (
        "It was used, is too old, or a newer one was sent.",
        "Тя е използвана, твърде стара е или е изпратена по-нова.",
        "Χρησιμοποιήθηκε, είναι πολύ παλιός ή στάλθηκε νεότερος.",
        "Искористена е, премногу е стара или е пратена понова.",
        "已被使用、過期，或已寄出新的連結。",
        "Foi usada, é antiga, ou foi enviada uma mais recente.",
    ),
    "hello": (
        "Hello {},",
        "Здравейте, {},",
        "Γεια σας {},",
        "Здраво {},",
        "{}，您好：",
        "Olá {},",
    ),
    "mail_text": (
        "please confirm that this is your e-mail address at {}:",
        "моля, потвърдете, че това е вашият имейл адрес в {}:",
        "παρακαλούμε επιβεβαιώστε ότι αυτή είναι η διεύθυνση e-mail σας στη {}:",
        "ве молиме потврдете дека ова е вашата е-пошта во {}:",
        "請確認這是您在 {} 的電子郵件地址：",
        "confirme que este é o seu endereço de e-mail em {}:",
    ),
    "mail_once": (
        "The link works once, within 48 hours. If you do not know what this is about, do nothing.",
        "Връзката важи еднократно, до 48 часа. Ако не знаете за какво става дума, не правете нищо.",
        "Ο σύνδεσμος ισχύει μία φορά, για 48 ώρες. Αν δεν γνωρίζετε περί τίνος πρόκειται, αγνοήστε το.",
        "Врската важи еднаш, во рок од 48 часа. Ако не знаете за што станува збор, не правете ништо.",
        "此連結僅能使用一次，48 小時內有效。如果您不清楚此信件，請忽略。",
        "A ligação funciona uma vez, durante 48 horas. Se não sabe do que se trata, não faça nada.",
    ),
    "mail_why": (
        "You get this mail because this address stands in an account of ours.",
        "Получавате това писмо, защото адресът е записан в профил при нас.",
        "Λαμβάνετε αυτό το μήνυμα επειδή η διεύθυνση είναι σε λογαριασμό μας.",
        "Ја добивате оваа порака бидејќи адресата стои во сметка кај нас.",
        "您收到此信，是因為此地址登記於我們的帳號。",
        "Recebe este e-mail porque este endereço está numa conta nossa.",
    ),
    "sms": (
        "{}: your code is {}. It holds for 10 minutes.",
        "{}: вашият код е {}. Важи 10 минути.",
        "{}: ο κωδικός σας είναι {}. Ισχύει για 10 λεπτά.",
        "{}: вашиот код е {}. Важи 10 минути.",
        "{}：您的驗證碼為 {}，10 分鐘內有效。",
        "{}: o seu código é {}. É válido por 10 minutos.",
    ),
    "too_many": (
        "Too many requests",
        "Твърде много заявки",
        "Πάρα πολλά αιτήματα",
        "Премногу барања",
        "請求過多",
        "Demasiados pedidos",
    ),
}


def language_of(locale: str) -> str:
    """A user's language, English where we do not speak it."""
    return locale if locale in LANGUAGES else DEFAULT_LANGUAGE


def words(language: str) -> dict[str, str]:
    """All words in a language."""
    place = _ORDER.index(language) if language in _ORDER else 0
    return {name: texts[place] for name, texts in _WORDS.items()}
