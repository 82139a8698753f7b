// The page works without this. It shows the words of the mark that is pointed at or has the focus,
// at the foot of the window, and marks all that belongs to the same message.
(() => {
  const say = document.getElementById("say");
  const line = (mark) => document.getElementById(mark.id.replace("m", "t"));
  let same = [];
  const forget = () => {
    same.forEach((it) => it.classList.remove("same"));
    same = [];
    say.hidden = true;
  };
  const tell = (mark) => {
    forget();
    const group = mark.dataset.g;
    const marks = group ? [...document.querySelectorAll(`[data-g="${group}"]`)] : [mark];
    same = marks.flatMap((it) => [it, line(it)]);
    same.forEach((it) => it.classList.add("same"));
    say.textContent = mark.querySelector("title").textContent;
    say.hidden = false;
  };
  const listen = (kind, act) =>
    document.addEventListener(kind, (event) => {
      const mark = event.target.closest && event.target.closest("a.m");
      act(mark);
    });
  listen("mouseover", (mark) => mark && tell(mark));
  listen("mouseout", (mark) => mark && forget());
  listen("focusin", (mark) => mark && tell(mark));
  listen("focusout", (mark) => mark && forget());
})();
