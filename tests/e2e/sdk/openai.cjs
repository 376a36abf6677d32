// Cases for Node's official SDK: `node openai.cjs NAME` prints what came back as JSON.
// BASE_URL and API_KEY are given in the environment.
const { OpenAI } = require("openai");

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const model = "gpt-4o-mini";
const ask = [{ role: "user", content: "Hello [[sim tokens=6]]" }];
const tools = ["look_up", "write_down"].map((name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { text: {} } } },
}));

const cases = {
  async plain() {
    const answer = await client.chat.completions.create({ model, messages: ask });
    return [answer.choices[0].message.content, answer.usage.completion_tokens];
  },

  async streamed() {
    const stream = await client.chat.completions.create({
      model, messages: ask, stream: true, stream_options: { include_usage: true },
    });
    let text = "", usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return [text, usage.completion_tokens];
  },

  async tools() {
    const stream = client.chat.completions.stream({ model, messages: ask, tools, tool_choice: "required" });
    const answer = await stream.finalChatCompletion();
    return answer.choices[0].message.tool_calls.map((call) => [call.function.name, call.function.arguments]);
  },

  async models() {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    return [names.includes(model), (await client.models.retrieve(model)).id];
  },

  async refused() {
    try {
      await client.chat.completions.create({ model: "no-such-model", messages: ask });
    } catch (error) {
      return [error.constructor.name, error.status, error.code];
    }
  },

  async broken() {
    const messages = [{ role: "user", content: "[[sim cut_after=3]]" }];
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    try {
      for await (const _ of stream);
    } catch (error) {
      return [error.constructor.name, error.code];
    }
  },
};

cases[process.argv[2]]().then((found) => console.log(JSON.stringify(found)));
