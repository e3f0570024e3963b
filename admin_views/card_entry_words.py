"""The words of the page on which a driver enters a card, by language."""

from __future__ import annotations

from app.core.i18n import DEFAULT_LANGUAGE, LANGUAGES

_ORDER = ("en", "bg", "el", "mk", "zh-Hant", "pt")

_WORDS: dict[str, tuple[str, str, str, str, str, str]] = {
    "title": (
        "Add a payment method",
        "Добавяне на платежен метод",
        "Προσθήκη τρόπου πληρωμής",
        "Додавање начин на плаќање",
        "新增付款方式",
        "Adicionar um método de pagamento",
    ),
    "intro": (
        "The card is kept by {}. We never see its number; we are told its last four digits and when it expires.",
        "Картата се съхранява от {}. Ние никога не виждаме номера ѝ, а само последните четири цифри и срока ѝ.",
        "Η κάρτα φυλάσσεται από τη {}. Δεν βλέπουμε ποτέ τον αριθμό της, μόνο τα τέσσερα τελευταία ψηφία και τη λήξη.",
        "Картичката ја чува {}. Ние никогаш не го гледаме нејзиниот број, туку само последните четири цифри и рокот.",
        "卡片由 {} 保管。我們看不到卡號，只會得知末四碼與到期日。",
        "O cartão é guardado pela {}. Nunca vemos o número, apenas os últimos quatro dígitos e a validade.",
    ),
    "agree": (
        "By saving it you allow {} to charge this card for your charging sessions and the top-ups you ask for.",
        "Със запазването разрешавате на {} да таксува картата за зарежданията ви и за поискани от вас допълвания.",
        "Με την αποθήκευση επιτρέπετε στη {} να χρεώνει την κάρτα για τις φορτίσεις και τις προσθήκες υπολοίπου σας.",
        "Со зачувувањето дозволувате {} да ја задолжува картичката за вашите полнења и за дополнувањата што ги барате.",
        "儲存即表示您同意 {} 以此卡收取您的充電費用及您要求的儲值。",
        "Ao guardar, autoriza a {} a cobrar neste cartão os seus carregamentos e os saldos que pedir.",
    ),
    "card": ("Card", "Карта", "Κάρτα", "Картичка", "卡片", "Cartão"),
    "save": ("Save card", "Запазване", "Αποθήκευση κάρτας", "Зачувај картичка", "儲存卡片", "Guardar cartão"),
    "saving": ("Saving…", "Запазване…", "Αποθήκευση…", "Се зачувува…", "儲存中…", "A guardar…"),
    "failed": (
        "This did not work. Please try again.",
        "Не се получи. Опитайте отново.",
        "Δεν ολοκληρώθηκε. Δοκιμάστε ξανά.",
        "Не успеа. Обидете се повторно.",
        "未能完成，請再試一次。",
        "Não funcionou. Tente novamente.",
    ),
    "saved": ("Saved", "Запазено", "Αποθηκεύτηκε", "Зачувано", "已儲存", "Guardado"),
    "saved_hint": (
        "You can close this page.",
        "Можете да затворите страницата.",
        "Μπορείτε να κλείσετε τη σελίδα.",
        "Можете да ја затворите страницава.",
        "您可以關閉此頁面。",
        "Pode fechar esta página.",
    ),
    "used": (
        "This address has been used",
        "Този адрес вече е използван",
        "Η διεύθυνση έχει χρησιμοποιηθεί",
        "Оваа адреса е веќе искористена",
        "此網址已使用過",
        "Este endereço já foi usado",
    ),
    "expired": (
        "This address has expired",
        "Срокът на този адрес е изтекъл",
        "Η διεύθυνση έχει λήξει",
        "Оваа адреса е истечена",
        "此網址已過期",
        "Este endereço expirou",
    ),
    "unknown": (
        "There is no such address",
        "Няма такъв адрес",
        "Δεν υπάρχει τέτοια διεύθυνση",
        "Нема таква адреса",
        "沒有此網址",
        "Este endereço não existe",
    ),
    "ask_again": (
        "Ask us for a new one if you want to add a card.",
        "Поискайте ни нов, ако желаете да добавите карта.",
        "Ζητήστε μας νέα, αν θέλετε να προσθέσετε κάρτα.",
        "Побарајте од нас нова ако сакате да додадете картичка.",
        "如需新增卡片，請向我們索取新的網址。",
        "Peça-nos um novo se quiser adicionar um cartão.",
    ),
    "refused": (
        "The card was not kept",
        "Картата не беше запазена",
        "Η κάρτα δεν αποθηκεύτηκε",
        "Картичката не е зачувана",
        "卡片未儲存",
        "O cartão não foi guardado",
    ),
    "refused_hint": (
        "You have as many payment methods as are allowed. Remove one first.",
        "Имате максималния брой платежни методи. Първо премахнете един.",
        "Έχετε τον μέγιστο αριθμό τρόπων πληρωμής. Αφαιρέστε πρώτα έναν.",
        "Го имате најголемиот дозволен број начини на плаќање. Прво отстранете еден.",
        "您的付款方式已達上限，請先移除一個。",
        "Tem o número máximo de métodos de pagamento. Remova um primeiro.",
    ),
    "unreachable": (
        "The card cannot be entered at the moment",
        "В момента картата не може да бъде въведена",
        "Η κάρτα δεν μπορεί να καταχωριστεί αυτή τη στιγμή",
        "Во моментов картичката не може да се внесе",
        "目前無法輸入卡片",
        "De momento não é possível introduzir o cartão",
    ),
    "unreachable_hint": (
        "Please try again in a few minutes.",
        "Опитайте отново след няколко минути.",
        "Δοκιμάστε ξανά σε λίγα λεπτά.",
        "Обидете се повторно за неколку минути.",
        "請過幾分鐘再試。",
        "Tente novamente dentro de alguns minutos.",
    ),
    "too_many": (
        "Too many requests. Wait a minute, then try again.",
        "Твърде много заявки. Изчакайте минута и опитайте отново.",
        "Πάρα πολλά αιτήματα. Περιμένετε ένα λεπτό και δοκιμάστε ξανά.",
        "Премногу барања. Почекајте една минута и обидете се повторно.",
        "請求過多。請稍候一分鐘再試。",
        "Demasiados pedidos. Aguarde um minuto e tente novamente.",
    ),
    "script": (
        "This page needs JavaScript: the card is entered directly at the payment processor.",
        "Тази страница изисква JavaScript: картата се въвежда директно при платежния оператор.",
        "Η σελίδα χρειάζεται JavaScript: η κάρτα καταχωρίζεται απευθείας στον πάροχο πληρωμών.",
        "Страницава бара JavaScript: картичката се внесува директно кај платежниот оператор.",
        "此頁面需要 JavaScript：卡片直接在付款服務商處輸入。",
        "Esta página precisa de JavaScript: o cartão é introduzido diretamente no processador de pagamentos.",
    ),
    "hello": ("Hello {},", "Здравейте, {},", "Γεια σας {},", "Здраво {},", "{}，您好：", "Olá {},"),
}


def language_of(locale: str) -> str:
    """The language in which a driver is addressed: their own where there are words, else English."""
    return locale if locale in LANGUAGES and locale in _ORDER else DEFAULT_LANGUAGE


def words(language: str) -> dict[str, str]:
    """All of them in a language."""
    place = _ORDER.index(language_of(language))
    return {key: texts[place] for key, texts in _WORDS.items()}
