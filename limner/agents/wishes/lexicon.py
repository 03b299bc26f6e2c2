"""The words that say what to do and with what, in English, Chinese, Spanish and German.

Patterns match folded text (`fold`): lower case, without the accents that people leave out. They are verbs of editing
and nouns of an article's parts: no article's subject stands here.
"""

from __future__ import annotations

import re
from typing import Literal

Verb = Literal[
    "shorten", "expand", "rewrite", "translate", "delete", "replace", "move", "add", "merge", "set"
]  # fmt: skip
Noun = Literal["caption", "title", "heading", "picture", "section", "sentence", "paragraph", "whole"]

_ACCENTS = str.maketrans("áéíóúàèìòùâêîôû’‘“”„«»", 'aeiouaeiouaeiou\'\'"""""')


def fold(text: str) -> str:
    """Lower case without common accents; one character for each, so that positions stay."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text).translate(_ACCENTS)


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts))


# --- languages -----------------------------------------------------------------------------------------------------

_NAMES = {
    "en": "english|ingles|englisch|anglais|英[语文]",
    "zh": "chinese|mandarin|chino|chinesisch|mandarin|中文|汉语|漢語|普通话",
    "es": "spanish|espanol|español|castellano|spanisch|西班牙[语文]|西语",
    "de": "german|aleman|deutsch|德[语文]",
    "fr": "french|frances|französisch|法[语文]",
    "it": "italian|italiano|italienisch|意大利[语文]",
    "pt": "portuguese|portugues|portugiesisch|葡萄牙[语文]",
    "ja": "japanese|japones|japanisch|日[语文]",
    "ko": "korean|coreano|koreanisch|韩[语文]|韓[語文]",
    "ru": "russian|ruso|russisch|俄[语文]",
    "nl": "dutch|holandes|neerlandes|niederländisch|holländisch|荷兰[语文]",
    "pl": "polish(?= |$|\\.)|polaco|polnisch|波兰[语文]",
    "tr": "turkish|turco|türkisch|土耳其[语文]",
    "ar": "arabic|arabe|arabisch|阿拉伯[语文]",
    "hi": "hindi|印地[语文]",
    "uk": "ukrainian|ucraniano|ukrainisch|乌克兰[语文]",
    "sv": "swedish|sueco|schwedisch|瑞典[语文]",
}
LANGUAGES = {code: re.compile(rf"(?<![a-zäöü])(?:{names})e?[nmrs]?(?![a-zäöü])") for code, names in _NAMES.items()}
_LANGUAGE = "(?:" + "|".join(_NAMES.values()) + ")"

# --- verbs -----------------------------------------------------------------------------------------------------------

VERBS: dict[Verb, re.Pattern[str]] = {
    "shorten": _any(
        r"\b(?:shorten\w*|shorter|condens\w+|trim|tighten|abridge|briefer|more (?:concise|brief)|cut\b[^.;]*?\bdown|"
        r"too (?:long|wordy)|less wordy|summari[sz]e)\b",
        r"缩短|縮短|缩写|精简|简短|简练|简洁|压缩|短一?[点些]|更短|太长|太啰嗦|变短|删减",
        r"\b(?:acort\w+|abrevi\w+|resum\w+|condens\w+|mas (?:cort[oa]|breve|concis[oa])s?|demasiado larg[oa]s?)\b",
        r"\b(?:kürz(?!lich)\w+|fass\w*\b[^.;]*\bzusammen|zusammenfass\w+|knapper|zu lang)\b",
    ),
    "expand": _any(
        r"\b(?:expand\w*|lengthen|longer|elaborat\w+|extend|flesh\b[^.;]*?\bout|more detail\w*|too short)\b",
        r"扩写|扩展|扩充|展开|更?详细|长一?[点些]|更长|加长|太短|写长",
        r"\b(?:ampli[ae]\w*|alarg\w+|extiend\w+|extender|desarroll\w+|mas (?:larg[oa]|detall\w+|extens[oa])s?|"
        r"demasiado cort[oa]s?)\b",
        r"\b(?:erweiter\w*|länger|ausführlicher|verlänger\w*|zu kurz)\b",
    ),
    "rewrite": _any(
        r"\b(?:rewrite|rephrase|reword|paraphrase|simplif\w+|simpler|clearer|polish(?! pol)|improve|livelier|"
        r"in (?:plain|simple|other|your own)\w* words|make\b[^.;]*\b(?:more|less) (?!concise|brief|wordy|detail)\w+|"
        r"easier to (?:read|understand)|friendlier)\b",
        r"改写|重写|换一?[种个]?(?:说法|方式)|换句话|通俗|简单[易些点]|生动|更?正式|润色|口语|表述|改得|写得|易懂",
        r"\b(?:reescrib\w+|reformul\w+|simplifi\w+|otras palabras|parafrase\w+|mejor[ae]\w*|"
        r"mas (?:sencill|clar|formal|simple|viv|amable|amen|tecnic|facil)\w*|menos (?:tecnic|formal|complicad)\w*)\b",
        r"\b(?:umschreib\w*|schreib\w*\b[^.;]*\bum|formulier\w*|vereinfach\w*|einfacher|verständlicher|"
        r"mit anderen worten)\b",
    ),
    "translate": _any(
        r"\btranslat\w+",
        rf"\b(?:in|into|to) {_LANGUAGE}(?![a-z])",
        r"翻译|翻成|译[成为]",
        rf"(?:[换改变转写][成为]|用){_LANGUAGE}",
        r"\b(?:traduc\w+|traduzc\w+)",
        rf"\b(?:al|en) {_LANGUAGE}(?![a-z])",
        r"\bübersetz\w*",
        rf"\b(?:ins|auf|in) {_LANGUAGE}(?![a-z])",
    ),
    "delete": _any(
        r"\b(?:remove|delete|drop|get rid of|take\b[^.;]*?\b(?:out|away)|erase|leave\b[^.;]*?\bout|cut\b[^.;]*?\bout|"
        r"throw\b[^.;]*?\b(?:out|away))\b",
        r"删[除掉去]?(?!减)|刪[除掉]?|去掉|移除|去除|拿掉|撤[掉下]|不要了|取消",
        r"\b(?:elimin\w+|quit(?:a|e|ar|alo|ala|arlo|arla|en)|borr(?:a|e|ar|alo|ala)|suprim\w+|retir(?:a|e|ar)|"
        r"saca|saque)\b",
        r"\b(?:entfern\w*|lösch\w*|streich\w*|nimm\b[^.;]*\b(?:weg|heraus|raus)|weglass\w*)\b",
    ),
    "replace": _any(
        r"\b(?:replac\w+|swap|exchange|substitut\w+|in(?:stead| place) of)\b",
        r"代替|替换|更换|换[成掉]|换一?[张幅个]|(?<!替)(?<!更)换(?=.*图|.*照)",
        r"\b(?:reemplaz\w+|reemplac\w+|sustitu\w+|en (?:lugar|vez) de)\b",
        r"\b(?:ersetz\w*|tausch\w*|austausch\w*|anstelle|statt)\b",
    ),
    "move": _any(
        r"\b(?:move|relocate|shift)\b",
        r"\b(?:put|place|bring)\b(?=\s+(?:the|this|that|it)\b)",
        r"移[到动至]|挪|放[到在至](?!.{0,3}一)|搬|调[到至]|[移放](?!除)(?=.*[前后上下])(?!一)",
        r"\b(?:muev\w+|mover\w*|traslad\w+|(?:pon|ponga|poner|coloca|coloque|colocar)(?=\s+(?:el|la|los|las)\b))",
        r"\b(?:verschieb\w*|beweg\w*|(?:setz|stell)e?(?=\s+(?:das|den|die)\b))",
    ),
    "add": _any(
        r"\b(?:add|insert|include|append|write|(?:put|place|give|show)(?=\s+(?:\w+\s+)?(?:an?|another|one|some)\b))\b",
        r"添加|增加|插入|加[上入个]|加(?=一)|补充|补(?=一)|写(?=一)|配(?=一)|放(?=一)|增写",
        r"\b(?:añad\w+|agreg\w+|insert\w+|incluy\w+|incluir|incorpor\w+|escrib[ea]\w*|"
        r"(?:pon|ponga|poner|coloca|coloque)(?=\s+(?:un|una|otr[oa])\b))",
        r"\b(?:füg\w*|hinzu\w*|ergänz\w*|einfüg\w*|schreib\w*(?![^.;]*\bum\b))\b",
    ),
    "merge": _any(
        r"\b(?:merge|join|combine)\b", r"合并|合在一起", r"\b(?:unir?|une|fusion\w+|junt[ae]r?)\b", r"\bverbind\w*"
    ),
    "set": _any(
        r"\b(?:change|call|rename|retitle|name|set|update|correct|fix|should (?:be|say|read))\b",
        r"改[成为]|叫做?|命名|设[为成]|更改|修改|改(?!写|得)|起[一个]",
        r"\b(?:cambi\w+|titul[ae]r?|renombr\w+|llam[ae]\w*|modific\w+|corrig\w+|correg\w+|deb(?:e|eria) (?:ser|"
        r"decir))\b",
        r"\b(?:nenn\w*|änder\w*|umbenenn\w*|soll\b[^.;]*\b(?:heißen|lauten))\b",
    ),
}

# --- parts of an article ---------------------------------------------------------------------------------------------

NOUNS: dict[Noun, re.Pattern[str]] = {
    "caption": _any(
        r"\bcaptions?\b",
        r"图注|图说|(?:图片?|照片|插图)的?(?:文字)?说明|说明文字",
        r"\b(?:pies? de (?:foto|imagen|figura)|leyendas?)\b",
        r"\b(?:bildunterschrift|bildtext|bildlegende)\w*",
    ),
    "heading": _any(
        r"\b(?:sub)?headings?\b|\bsubtitles?\b",
        r"小标题",
        r"\b(?:subtitulos?|encabezados?)\b",
        r"\bzwischenüberschrift\w*",
    ),
    "title": _any(
        r"\b(?:title|headline)\b", r"(?<!小)标题|题目|標題", r"\b(?:titulo|titular)\b", r"\b(?:titel|überschrift)\b"
    ),
    "picture": _any(
        r"\b(?:pictures?|photos?|photographs?|images?|illustrations?|figures?|drawings?)\b",
        r"图片|照片|插图|图像|相片|圖片|配图|图(?![书表注说例标案形])",
        r"\b(?:imagen(?:es)?|fotos?|fotografias?|ilustracion(?:es)?|figuras?|dibujos?)\b",
        r"\b(?:bild(?:er|es|s)?|fotos?|abbildung(?:en)?|illustrationen)\b",
    ),
    "section": _any(
        r"\b(?:sections?|chapters?)\b",
        r"(?<=[一二三四五六七八九十\d个这那的])[节章]|章节|小节|一节",
        r"\b(?:seccion(?:es)?|apartados?|capitulos?)\b",
        r"\b(?:abschnitte?s?|kapitel)\b",
    ),
    "sentence": _any(r"\bsentences?\b|\blines?\b", r"句子?", r"\b(?:frases?|oracion(?:es)?)\b", r"\bs[aä]tze?s?\b"),
    "paragraph": _any(
        r"\b(?:paragraphs?|passages?|introduction|intro|conclusion|opening|ending|(?:bit|part)s?(?= (?:about|on|"
        r"where)))\b",
        r"段落?|引言|开头(?!加|添|插|写)|开篇|结尾(?!加|添|插|写)|结语|导言",
        r"\b(?:parrafos?|pasajes?|introduccion|conclusion|(?:parte|fragmento)(?= (?:sobre|que|de)))\b",
        r"\b(?:abs[aä]tz\w*|einleitung|schluss)\b",
    ),
    "whole": _any(
        r"\b(?:whole|entire) (?:article|text|thing|page)|\beverything\b|\b(?:the|this) (?:article|text)\b|\ball of "
        r"it\b",
        r"全文|整篇|整个文章|文章|全部",
        r"\b(?:tod[oa] (?:el|la) \w+|(?:el|este) (?:articulo|texto)(?: entero| completo)?)\b",
        r"\b(?:ganze[nr]?|den|dieser?n?) (?:artikel|text)\b",
    ),
}
ONE = re.compile(r"\bones?\b")  # "the last one": a part of the kind named before, if an ordinal stands before it
FIRST = _any(r"\b(?:introduction|intro|opening)\b", r"引言|开头|开篇|导言|首段", r"\bintroduccion\b", r"\beinleitung\b")
LAST = _any(r"\b(?:conclusion|ending)\b", r"结尾|结语|末段|尾段", r"\bconclusion\b", r"\bschluss\b")

# --- ordinals --------------------------------------------------------------------------------------------------------

_ORDINALS: dict[int, str] = {
    1: r"first|1st|primer[oa]?|erste[nmrs]?",
    2: r"second|2nd|segund[oa]|zweite[nmrs]?",
    3: r"third|3rd|tercer[oa]?|dritte[nmrs]?",
    4: r"fourth|4th|cuart[oa]|vierte[nmrs]?",
    5: r"fifth|5th|quint[oa]|fünfte[nmrs]?",
    6: r"sixth|6th|sext[oa]|sechste[nmrs]?",
    7: r"seventh|7th|septim[oa]|siebte[nmrs]?",
    8: r"eighth|8th|octav[oa]|achte[nmrs]?",
    9: r"ninth|9th|noven[oa]|neunte[nmrs]?",
    10: r"tenth|10th|decim[oa]|zehnte[nmrs]?",
    -1: r"last|final|ultim[oa]|letzte[nmrs]?",
    -2: r"second[- ]to[- ]last|next[- ]to[- ]last|penultimate|penultim[oa]|vorletzte[nmrs]?",
}
ORDINAL = re.compile(
    r"\b(?:" + "|".join(f"(?P<n{n if n > 0 else 90 - n}>{p})" for n, p in sorted(_ORDINALS.items())) + r")\b"
)
HAN = {c: n for n, c in enumerate("一二三四五六七八九十", 1)} | {"两": 2}
HAN_ORDINAL = re.compile(
    r"(?P<back>倒数)?第\s*(?P<n>[一二三四五六七八九十两]|\d{1,3})|(?P<last>最后|末尾?|尾|最末)(?:一)?|(?P<head>首)"
)

# --- where something goes --------------------------------------------------------------------------------------------

BEFORE = _any(r"\b(?:before|above|in front of|ahead of|antes de(?:l)?|delante de(?:l)?|encima de(?:l)?|vor|über)\b")
AFTER = _any(
    r"\b(?:after|below|beneath|under|behind|following|next to|beside|despues de(?:l)?|detras de(?:l)?|debajo "
    r"de(?:l)?|tras|junto "
    r"a(?:l)?|nach|hinter|unter|neben)\b"
)
HAN_BEFORE = re.compile(r"^(?:的)?(?:之)?[前上](?:面|边|方)?(?!一|的)")
HAN_AFTER = re.compile(r"^(?:的)?(?:之)?[后下](?:面|边|方)?(?!一|的)|^旁")
AT_END = _any(
    r"\b(?:at|to) the (?:very )?(?:end|bottom)\b", r"文末|(?:末尾|结尾|最后)(?!一?[段张幅个句])|文章后面", r"\bal "
    r"final\b",
    r"\bans? (?:ende|schluss)\b|\bam (?:ende|schluss)\b",
)  # fmt: skip
AT_START = _any(
    r"\b(?:at|to) the (?:very )?(?:start|beginning|top)\b", r"文首|(?:开头|最前面?|开篇)(?=加|添|插|写|处|$|，|。)|"
    r"到最?前面",
    r"\bal (?:principio|comienzo|inicio)\b", r"\ba[mn] (?:den )?anfang\b",
)  # fmt: skip

# --- what is not to be done; how parts of a wish are joined -----------------------------------------------------------

KEEP = _any(
    r"^\W*(?:please )?(?:but )?(?:don't|do not|never|without|not|keep|leave (?!out)[^.;]*\b(?:alone|as|unchanged|"
    r"it)|nothing else)\b",
    r"^\W*(?:但|请)?(?:不要(?!了)|别|不必|不用|保留|其他.*不|其余.*不|不[改动])|[都保]持?不[变动改]",
    r"^\W*(?:pero )?(?:no|sin|nunca|manten\w*|conserv\w*|deja\w*)\b",
    r"\b(?:nicht|keine?[nmrs]?|lass\w*|behalt\w*)\b",
)
JOINT = re.compile(
    r"\s*[;；。！!\n]\s*|(?<=\w)[.?]\s+|\s*[,，、]?\s*(?:\b(?:and then|and also|and|then|also|y luego|y despues|y "
    r"tambien|y|e|luego|"
    r"und dann|und|dann|danach)\b|并且|并|然后|接着|同时|再(?=[把将删加移翻缩扩换改写插])|另外|以及|"
    r"和(?=.{0,12}[图照段]))\s*|\s*[,，]\s*"
)

_STOP = (
    "a an the this that these those of on in to at by for with from as is are be it its and or one ones about "
    "where which who that's please can could you would should i me my we our us so much too very make makes made "
    "put place give do just more less new bit part showing shows show says say talks talking tells telling "
    "discusses describing describes mentions explains el la los las un una unos unas de del al en con por para "
    "que se su sus y o lo es son sobre donde cual este esta ese esa favor poco bien mejor algo habla trata "
    "explica menciona dice muestra describe haz hazlo quiero necesito puedes muy mas menos parte fragmento der "
    "die das den dem des ein eine einen einem einer von vom zu zum zur im am mit für und oder über auf bitte mach "
    "mache kannst mir es ist sind wo goes go long little some something "
)
STOP = frozenset(_STOP.split())
HAN_STOP = re.compile(
    r"[把将请让使的了一这那个张幅段落给我们吧呢就是在有关于讲述说到介绍描写描述提及里中为和与及其它他她您你可以能帮想要该]"
)
