"""The words of the synthetic shop: its goods, pages, people, devices and mishaps."""

from __future__ import annotations

SITE = "https://garden.example"

GOODS: tuple[tuple[str, str, float], ...] = (
    ("kettle-09", "Copper kettle", 89.5),
    ("oolong-3", "Dong Ding 凍頂烏龍茶", 24.0),
    ("pflanz-77", "Gartenschere „Größe L“", 31.99),
    ("café-2", "Crème brûlée kit", 18.25),
    ("bonsai-1", "盆栽スターターセット 🌱", 64.0),
    ("seed-440", 'Seeds "Red & Wild" <mix>', 3.5),
    ("hose-25", "Hose, 3/4\u2033 \u00d7 25 m", 42.0),
    ("чай-5", "Иван-чай листовой", 7.8),
    ("pot-12", "Pot\nterracotta, Ø 12 cm", 5.0),
    ("cardamom", "هيل أخضر", 11.4),
)

REMARKS = (
    "Arrived broken.\nCan I return it? 😕",
    'She said "the blue one",\r\nnot the green one.',
    "C:\\Users\\kim\\Desktop\\receipt.pdf",
    "Größe passt nicht, bitte umtauschen \u2013 danke!",
    "Line one\n\tindented line two\n\nline four",
    "届け先を変更したいです。\nよろしくお願いします。",
    "Add to cart",
    "10% off \u2764\ufe0f & free delivery",
    "a,b;c|d\te",
    "Rückgabe\u00a0/\u00a0Umtausch",
    "'; -- said Bobby \\o/",
    "👩‍👩‍👧‍👦 family pack\n(serves four)",
)

LABELS = (
    "Add to cart", "Checkout", "Continue", "Search", "Sort by price", "Show more", "Apply code",
    "Remove", "In den Warenkorb", "カートに入れる", "Ajouter au panier", "Size", "Next", "Menu",
)  # fmt: skip

LONG = (
    "Hand-thrown in small batches, fired twice; no two are the same.\nKeep it out of the frost.",
    "Grown without pesticides at 900 m.\nPicked by hand in late spring; a tin you can refill.",
    'Winner of the "Garden Tool of the Year" \\ category: small blades. Sharpen once a year.',
    "Up to three flowers in its second summer. Water it when the soil is dry to the touch.",
    "Two-year guarantee, spare parts for ten. Made of steel and ash; weighs 410 g in all.",
)

PAGES: tuple[tuple[str, str], ...] = (
    ("/", "Home"),
    ("/shop", "Shop"),
    ("/shop/tea?sort=price&order=asc", "Category"),
    ("/shop/tools?sort=new&page=2", "Category"),
    ("/search?q=gr%C3%BCner%20tee&from=header", "Search results"),
    ("/account/orders", "Orders"),
    ("/help/returns#damaged", "Help"),
)

_MACINTOSH = "(Macintosh; Intel Mac OS X 10_15_7)"
_IPHONE = "(iPhone; CPU iPhone OS 17_4_1 like Mac OS X)"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"

AGENTS: tuple[tuple[str, str, str, str, str, str, int, int], ...] = (
    # agent, browser, its version, device, platform, operating system, screen width and height
    (f"Mozilla/5.0 {_MACINTOSH} {_WEBKIT} Version/17.4 Safari/605.1.15",
     "Safari", "17.4", "Desktop", "Macintosh", "OS X", 1728, 1117),
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_BLINK} Chrome/124.0.0.0 Safari/537.36",
     "Chrome", "124.0.0.0", "Desktop", "Windows", "Windows", 1920, 1080),
    (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_BLINK} Chrome/124.0.6367.82 Mobile Safari/537.36",
     "Chrome", "124.0.6367.82", "Mobile", "Linux", "Android", 412, 915),
    (f"Mozilla/5.0 {_IPHONE} {_WEBKIT} Version/17.4.1 Mobile/15E148 Safari/604.1",
     "Safari", "17.4.1", "Mobile", "iPhone", "iOS", 393, 852),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
     "Firefox", "125.0", "Desktop", "Linux", "Linux", 2560, 1440),
)  # fmt: skip

REFERERS = (
    "", "https://search.example/?q=copper+kettle&hl=de", "https://social.example/p/9f2c?utm=a&b=c",
    f"{SITE}/newsletter/2026-05?campaign=sp%C3%A4t",
)  # fmt: skip

PLACES = ("52.5200,13.4050", "35.6762,139.6503", "-33.8688,151.2093", "40.7128,-74.0060", "")

NAMES = (
    "Ada Lindqvist", "José Ñíguez", "王小明", "Zoë O'Brien", 'Maria "Mia" Costa', "Владимир К.",
    "Aoife\nMurphy", "سارة", "Kim Lee", "Jürgen Groß", "Nia 🌻", "",
)  # fmt: skip

ERRORS = (
    ("exception", "TypeError: Cannot read properties of undefined\n    at total (cart.js:88:17)"),
    ("exception", "SyntaxError: Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON"),
    ("network", "POST /api/cart/items \u2192 500 (Internal Server Error)"),
    ("network", "Failed to fetch\nnet::ERR_CONNECTION_RESET"),
)
