// Cases for Node's official SDK: `node openai.cjs NAME` prints what came back as JSON.
// BASE_URL and API_KEY are given in the environment.
const { OpenAI, toFile } = require("openai");

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

  async completions() {
    const options = { model: "gpt-3.5-turbo-instruct", prompt: ask[0].content };
    const whole = await client.completions.create(options);
    let pieces = "";
    for await (const chunk of await client.completions.create({ ...options, stream: true })) {
      pieces += chunk.choices[0]?.text ?? "";
    }
    return [whole.choices[0].text, pieces];
  },

  async embeddings() {
    const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
    return answer.data.map((each) => [each.index, typeof each.embedding[0]]);
  },

  async moderations() {
    const answer = await client.moderations.create({ model: "omni-moderation-latest", input: ["one", "two"] });
    return answer.results.length;
  },

  async responses() {
    const whole = await client.responses.create({ model, input: ask[0].content });
    const stream = client.responses.stream({ model, input: ask[0].content });
    const streamed = await stream.finalResponse();
    const found = await client.responses.retrieve(whole.id);
    await client.responses.delete(whole.id);
    return [whole.output_text, streamed.output_text, found.id === whole.id];
  },

  async images() {
    const made = await client.images.generate({ model: "gpt-image-1", prompt: "a toll house" });
    const edited = await client.images.edit({ model: "gpt-image-1", image: await picture(), prompt: "at night" });
    const varied = await client.images.createVariation({ model: "dall-e-2", image: await picture() });
    return [made.data.length, edited.data.length, varied.data.length];
  },

  async audio() {
    const options = { model: "tts-1", voice: "alloy", input: "a toll is paid" };
    const speech = await (await client.audio.speech.create(options)).arrayBuffer();
    const sound = await toFile(Buffer.alloc(32000), "sound.wav", { type: "audio/wav" });
    const heard = await client.audio.transcriptions.create({ model: "whisper-1", file: sound });
    const translated = await client.audio.translations.create({ model: "whisper-1", file: sound });
    return [speech.byteLength > 0, heard.text.length > 0, translated.text.length > 0];
  },

  async files() {
    const made = await client.files.create({
      file: await toFile(Buffer.from('{"a": 1}\n'), "lines.jsonl"), purpose: "user_data",
    });
    // Lists show what has been booked, a moment later.
    const names = [];
    for (let tries = 0; tries < 50 && !names.includes(made.id); tries++) {
      for await (const each of client.files.list()) names.push(each.id);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const content = await (await client.files.content(made.id)).text();
    return [names.includes(made.id), content, (await client.files.delete(made.id)).deleted];
  },

  async batches() {
    const body = { model, max_tokens: 8, messages: ask };
    const line = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body };
    const sent = await toFile(Buffer.from(JSON.stringify(line) + "\n"), "requests.jsonl");
    const file = await client.files.create({ file: sent, purpose: "batch" });
    let batch = await client.batches.create({
      input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h",
    });
    for (let tries = 0; tries < 10 && batch.status !== "completed"; tries++) {
      batch = await client.batches.retrieve(batch.id);
    }
    const answers = await (await client.files.content(batch.output_file_id)).text();
    return answers.trim().split("\n").map((answer) => JSON.parse(answer).custom_id);
  },
};

const picture = () => toFile(Buffer.alloc(1000), "picture.png", { type: "image/png" });

cases[process.argv[2]]().then((found) => console.log(JSON.stringify(found)));
