// Before the page is drawn: the theme that was chosen. A script of its own that blocks, for the policy allows none inline.
(() => {
  try {
    const theme = localStorage.getItem("limner-theme");
    if (theme === "light" || theme === "dark") document.documentElement.style.colorScheme = theme;
  } catch { // storage is refused: the system's theme
  }
})();
