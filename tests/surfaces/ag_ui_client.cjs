// A front end of AG-UI without a face: the client that CopilotKit uses, driven by lines of JSON.
//
//     NODE_PATH=…/node_modules node ag_ui_client.cjs URL THREAD
//
// In: {"say": "…"} or {"resume": […]} or {"props": {…}} (forwardedProps), each a run of the agent. Out: the run's events
// as the client has checked them, a line each, then {"end": true, "state": …, "messages": […]}.
const { HttpAgent } = require("@ag-ui/client");
const readline = require("node:readline");

const [url, threadId] = process.argv.slice(2);
const agent = new HttpAgent({ url, threadId });
const tell = (value) => process.stdout.write(JSON.stringify(value) + "\n");

(async () => {
  let n = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    if (asked.say) agent.addMessage({ id: `said-${++n}`, role: "user", content: asked.say });
    try {
      const parameters = { resume: asked.resume, forwardedProps: asked.props };
      await agent.runAgent(parameters, { onEvent: ({ event }) => tell(event) });
      tell({ end: true, state: agent.state, messages: agent.messages });
    } catch (error) {
      tell({ end: true, failed: String(error) });
    }
  }
})();
