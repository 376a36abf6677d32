"""Texts to count: one sentence of the Universal Declaration of Human Rights in many languages, and what
models write besides prose."""

TEXTS = {
    "English": "Whereas recognition of the inherent dignity and of the equal and inalienable rights of all "
    "members of the human family is the foundation of freedom, justice and peace in the world.",
    "German": "Da die Anerkennung der angeborenen Würde und der gleichen und unveräußerlichen Rechte aller "
    "Mitglieder der Gemeinschaft der Menschen die Grundlage von Freiheit und Frieden in der Welt bildet.",
    "French": "Considérant que la reconnaissance de la dignité inhérente à tous les membres de la famille "
    "humaine et de leurs droits égaux et inaliénables constitue le fondement de la liberté et de la paix.",
    "Spanish": "Considerando que la libertad, la justicia y la paz en el mundo tienen por base el "
    "reconocimiento de la dignidad intrínseca de todos los miembros de la familia humana.",
    "Russian": "Принимая во внимание, что признание достоинства, присущего всем членам человеческой семьи, и "
    "равных и неотъемлемых прав их является основой свободы, справедливости и всеобщего мира.",
    "Greek": "Επειδή η αναγνώριση της αξιοπρέπειας, που είναι σύμφυτη σε όλα τα μέλη της ανθρώπινης "
    "οικογένειας, αποτελεί το θεμέλιο της ελευθερίας, της δικαιοσύνης και της ειρήνης στον κόσμο.",
    "Arabic": "لما كان الاعتراف بالكرامة المتأصلة في جميع أعضاء الأسرة البشرية وبحقوقهم المتساوية الثابتة هو "
    "أساس الحرية والعدل والسلام في العالم.",
    "Hindi": "चूंकि मानव परिवार के सभी सदस्यों के जन्मजात गौरव और समान तथा अविच्छिन्न अधिकार की स्वीकृति ही "
    "विश्व-शान्ति, न्याय और स्वतन्त्रता की बुनियाद है।",
    "Chinese": "鉴于对人类家庭所有成员的固有尊严及其平等的和不移的权利的承认，"
    "乃是世界自由、正义与和平的基础。",
    "Japanese": "人類社会のすべての構成員の固有の尊厳と平等で譲ることのできない権利とを承認することは、"
    "世界における自由、正義及び平和の基礎である。",
    "Korean": "모든 인류 구성원의 천부의 존엄성과 동등하고 양도할 수 없는 권리를 인정하는 것이 세계의 자유, "
    "정의 및 평화의 기초이다.",
    "Python": "def total(rows: list[Row]) -> int:\n    return sum(row.cost for row in rows if row.posted)\n",
    "JSON": '{"id": "chatcmpl-1", "created": 1760000000, "choices": [{"index": 0, "finish": "stop"}]}',
    "numbers": "3.14159265358979 2.71828182845904 1.41421356237309 0.57721566490153 1760000000 65536",
    "base64": "UmVjb2duaXRpb24gb2YgdGhlIGluaGVyZW50IGRpZ25pdHkgYW5kIG9mIHRoZSBlcXVhbCBhbmQgaW5hbGllbmFibGU9",
    "emoji": "Great work! 🎉🎉 See you tomorrow 👋😀 and thanks 🙏",
}
